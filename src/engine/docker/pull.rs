//! Pulls an image and tells how far it is.

use std::collections::HashMap;
use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;
use tokio::sync::watch;

use super::failure;
use crate::domain::image::{ImageName, Which};
use crate::domain::service::ErrorCode;
use crate::engine::{EngineError, Result};

/// How long the registry may be silent before the pull counts as failed.
const SILENCE: Duration = Duration::from_secs(60);
/// How the engine's ids of images begin.
const ID: &str = "sha256:";

pub(super) async fn pull(client: &Docker, image: &str, progress: watch::Sender<Option<u8>>) -> Result<()> {
    // An id is the engine's own, and means nothing to a registry.
    let named = image.parse().ok().filter(|_| !image.starts_with(ID));
    let ImageName { repository, which } = named.ok_or_else(|| failed(image, "it is gone from the engine"))?;
    let which = match &which {
        Some(Which::Tag(which) | Which::Digest(which)) => which,
        None => "latest",
    };
    let options = CreateImageOptionsBuilder::default().from_image(&repository).tag(which).build();
    let mut stream = client.create_image(Some(options), None, None).boxed();
    let mut layers = Layers::default();
    loop {
        let step = match tokio::time::timeout(SILENCE, stream.next()).await {
            Err(_) => return Err(failed(image, "the registry did not answer in time")),
            Ok(None) => return Ok(()),
            Ok(Some(step)) => step,
        };
        match step.map_err(failure) {
            Ok(step) => {
                let (current, total) =
                    step.progress_detail.map(|detail| (detail.current, detail.total)).unwrap_or_default();
                layers.note(step.id.as_deref(), step.status.as_deref(), current, total);
                progress.send_if_modified(|shown| {
                    let percent = layers.percent();
                    let further = percent > *shown;
                    if further {
                        *shown = percent;
                    }
                    further
                });
            }
            Err(EngineError::Refused { code: ErrorCode::EngineRefused, message }) => {
                return Err(failed(image, &message));
            }
            Err(error) => return Err(error),
        }
    }
}

pub(super) fn failed(image: &str, why: &str) -> EngineError {
    EngineError::Refused {
        code: ErrorCode::PullFailed,
        message: format!("The image {image} could not be pulled: {}", why.trim()),
    }
}

/// Bytes that are there and bytes in all, a layer. Totals appear as layers begin, so a percentage may only be shown if
/// it grows.
#[derive(Default)]
struct Layers(HashMap<String, (i64, i64)>);

impl Layers {
    fn note(&mut self, layer: Option<&str>, status: Option<&str>, current: Option<i64>, total: Option<i64>) {
        let Some(layer) = layer else { return };
        match status {
            Some("Downloading") => {
                if let (Some(current), Some(total)) = (current, total) {
                    self.0.insert(layer.to_owned(), (current, total.max(current)));
                }
            }
            Some("Download complete" | "Pull complete") => {
                if let Some((current, total)) = self.0.get_mut(layer) {
                    *current = *total;
                }
            }
            _ => {}
        }
    }

    fn percent(&self) -> Option<u8> {
        let (current, total) =
            self.0.values().fold((0i64, 0i64), |(current, total), layer| (current + layer.0, total + layer.1));
        if total <= 0 { None } else { u8::try_from(current.saturating_mul(100) / total).ok().map(|p| p.min(100)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_the_share_of_bytes_over_all_layers() {
        let mut layers = Layers::default();
        assert_eq!(layers.percent(), None);
        layers.note(Some("a"), Some("Downloading"), Some(10), Some(100));
        assert_eq!(layers.percent(), Some(10));
        layers.note(Some("b"), Some("Downloading"), Some(50), Some(100));
        assert_eq!(layers.percent(), Some(30));
        layers.note(Some("a"), Some("Pull complete"), None, None);
        assert_eq!(layers.percent(), Some(75));
    }
}
