//! What goes wrong in the model.

/// How one call fails: whether it happened, and whether it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// It did not happen, and the caller knows.
    Unavailable,
    /// It did not happen, and the caller can't know.
    LostBefore,
    /// It happened, and the caller can't know.
    LostAfter,
    Refused,
    /// The caller's process ends before the effect.
    CutOffBefore,
    /// The caller's process ends after the effect.
    CutOffAfter,
}

/// What befalls a container, a volume or an image behind the sidecar's back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Befalls {
    Kill,
    Crash,
    OutOfMemory,
    Stop,
    Start,
    Remove,
    Pause,
    Sick,
    Well,
    EngineRestart,
    VolumeRemoved,
    ImageRemoved,
    /// The image's name is given to another one.
    ImageMoved,
    Disconnected,
    /// The data is removed, the volume stays.
    VolumeEmptied,
    /// The container is given less memory.
    LimitsChanged,
}

impl Befalls {
    pub const ALL: &'static [Self] = &[
        Self::Kill,
        Self::Crash,
        Self::OutOfMemory,
        Self::Stop,
        Self::Start,
        Self::Remove,
        Self::Pause,
        Self::Sick,
        Self::Well,
        Self::EngineRestart,
        Self::VolumeRemoved,
        Self::ImageRemoved,
        Self::ImageMoved,
        Self::Disconnected,
        Self::VolumeEmptied,
        Self::LimitsChanged,
    ];
}
