//! Which store a URL stands for.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::local::LocalFileSystem;
use object_store::prefix::PrefixStore;

use super::connect::{Connector, retries};
use super::error::Result;
use super::url::Cloud;

/// A directory, which is made, for its owner only, where it is not there. What is written there is on the disk.
pub(super) fn directory(path: &Path) -> Result<Arc<dyn ObjectStore>> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    Ok(Arc::new(LocalFileSystem::new_with_prefix(path)?.with_fsync(true).with_automatic_cleanup(true)))
}

/// A bucket. Nothing is asked of it.
pub(super) fn bucket(
    cloud: Cloud,
    name: &str,
    prefix: &str,
    options: &[(String, String)],
) -> Result<Arc<dyn ObjectStore>> {
    let store: Arc<dyn ObjectStore> = match cloud {
        Cloud::S3 => {
            let mut builder = AmazonS3Builder::new().with_http_connector(Connector).with_retry(retries());
            for (key, value) in known::<AmazonS3ConfigKey>(options, "AWS_") {
                builder = builder.with_config(key, value);
            }
            Arc::new(builder.with_bucket_name(name).build()?)
        }
        Cloud::Google => {
            let mut builder = GoogleCloudStorageBuilder::new().with_http_connector(Connector).with_retry(retries());
            for (key, value) in known::<GoogleConfigKey>(options, "GOOGLE_") {
                builder = builder.with_config(key, value);
            }
            Arc::new(builder.with_bucket_name(name).build()?)
        }
        Cloud::Azure => {
            let mut builder = MicrosoftAzureBuilder::new().with_http_connector(Connector).with_retry(retries());
            for (key, value) in known::<AzureConfigKey>(options, "AZURE_") {
                builder = builder.with_config(key, value);
            }
            Arc::new(builder.with_container_name(name).build()?)
        }
    };
    Ok(if prefix.is_empty() { store } else { Arc::new(PrefixStore::new(store, prefix)) })
}

/// The options whose names object_store knows. The environment has others with the same beginning, which mean something to
/// other programs.
fn known<'a, K: std::str::FromStr>(
    options: &'a [(String, String)],
    beginning: &str,
) -> impl Iterator<Item = (K, &'a str)> {
    let ours = options.iter().filter(move |(name, _)| name.starts_with(beginning));
    ours.filter_map(|(name, value)| Some((name.to_ascii_lowercase().parse().ok()?, value.as_str())))
}
