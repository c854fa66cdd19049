//! What the product is about, as values: services, their life, who may do what with them, and what happened.
//!
//! Nothing here does I/O, is async, reads a clock or knows a framework. Time is an argument; randomness stays outside.

/// Declares an enum that is stored, sent and read as a fixed text, so that the text stands in one place. With `or Unknown` at
/// its end it has a value besides for what a newer version of the server has written: nobody can ask for it, and nothing acts
/// on it.
macro_rules! text_enum {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$variant_meta])* $variant,)+ }

        text_enum!(@reads $name { $($variant = $text,)+ });

        impl $name {
            /// The text it is stored and sent as.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
    ($(#[$meta:meta])* pub enum $name:ident {
        $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)+
    } or Unknown) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)+
            /// What a newer version has written, in a word that this one does not know.
            Unknown,
        }

        text_enum!(@reads $name { $($variant = $text,)+ });

        impl $name {
            /// The text it is stored and sent as.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Unknown => "UNKNOWN",
                }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                Ok(text.parse().unwrap_or(Self::Unknown))
            }
        }

        impl $crate::domain::Stored for $name {
            fn unknown(_: &str) -> Self {
                Self::Unknown
            }

            fn is_known(&self) -> bool {
                *self != Self::Unknown
            }
        }
    };
    (@reads $name:ident { $($variant:ident = $text:literal,)+ }) => {
        impl $name {
            /// Every value that is known, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::domain::UnknownText;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err($crate::domain::UnknownText { expected: stringify!($name), found: text.to_owned() }),
                }
            }
        }
    };
}

/// A value that is kept, and that a newer version of the server may have written in a way that this one does not know.
pub trait Stored: Sized {
    /// What is shown in place of `text`, which can't be read.
    fn unknown(text: &str) -> Self;

    /// Whether all of it is known.
    fn is_known(&self) -> bool {
        true
    }
}

/// A text that is none of an enum's.
#[derive(Debug, thiserror::Error)]
#[error("{found:?} is not a {expected}")]
pub struct UnknownText {
    pub expected: &'static str,
    pub found: String,
}

pub mod address;
pub mod backup;
pub mod backup_policy;
pub mod console;
pub mod event;
pub mod history;
pub mod id;
pub mod image;
pub mod instance;
pub mod lifecycle;
pub mod lifetime;
pub mod limits;
pub mod live;
pub mod log;
pub mod name;
pub mod network;
pub mod node;
pub mod observed;
pub mod page;
pub mod permission;
pub mod placement;
pub mod pool;
pub mod service;
pub mod storage;
pub mod task;
pub mod term;
pub mod trace;
