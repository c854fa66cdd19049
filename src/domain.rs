//! What the product is about, as values: services, their life, who may do what with them, and what happened.
//!
//! Nothing here does I/O, is async, reads a clock or knows a framework. Time is an argument; randomness stays outside.

/// Declares an enum that is stored, sent and read as a fixed text, so that the text stands in one place.
macro_rules! text_enum {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$variant_meta])* #[serde(rename = $text)] $variant,)+ }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The text it is stored and sent as.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
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

/// A text that is none of an enum's.
#[derive(Debug, thiserror::Error)]
#[error("{found:?} is not a {expected}")]
pub struct UnknownText {
    pub expected: &'static str,
    pub found: String,
}

pub mod address;
pub mod event;
pub mod id;
pub mod lifecycle;
pub mod live;
pub mod name;
pub mod network;
pub mod page;
pub mod permission;
pub mod service;
pub mod task;
pub mod term;
pub mod trace;
