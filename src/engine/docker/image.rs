//! What the engine knows of images.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bollard::Docker;

use super::{QUICK, found, within};
use crate::domain::image::Image;
use crate::engine::Result;

/// By which digests registries have the images that containers run. They change only where somebody pulls or pushes, and a look
/// at a container that runs should cost no call for them: each image is asked for once between two surveys.
#[derive(Default)]
pub(super) struct Digests(Mutex<HashMap<String, Vec<String>>>);

impl Digests {
    pub(super) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The image of an id, which was asked for by `name`.
    pub(super) async fn image(&self, client: &Docker, id: &str, name: &str) -> Result<Image> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        let digests = match known {
            Some(known) => known,
            None => {
                let inspected = found(within(QUICK, client.inspect_image(id)).await)?;
                let digests = inspected.and_then(|inspected| inspected.repo_digests).unwrap_or_default();
                self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), digests.clone());
                digests
            }
        };
        Ok(Image { id: id.to_owned(), digest: Image::digest_of(&digests, name).cloned() })
    }
}

/// The image that a name or an id is of; None where it is not there.
pub(super) async fn find(client: &Docker, name: &str) -> Result<Option<Image>> {
    let inspected = found(within(QUICK, client.inspect_image(name)).await)?;
    Ok(inspected.map(|inspected| {
        let digest = Image::digest_of(&inspected.repo_digests.unwrap_or_default(), name).cloned();
        Image { id: inspected.id.unwrap_or_default(), digest }
    }))
}
