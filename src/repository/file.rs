//! A file's content as a stream.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;

use async_stream::try_stream;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;

/// Bytes that are read at once: each time another thread does it, which takes as long as reading some of them.
const PIECE: u64 = 256 << 10;

pub(super) async fn opened(path: PathBuf) -> io::Result<File> {
    blocking(move || File::open(path)).await
}

/// What is in a file, from where it is to its end.
pub(super) fn pieces(mut file: File) -> BoxStream<'static, io::Result<Bytes>> {
    let pieces = try_stream! {
        loop {
            let (read_on, piece) = blocking(move || {
                let mut piece = Vec::new();
                (&file).take(PIECE).read_to_end(&mut piece)?;
                Ok((file, piece))
            })
            .await?;
            file = read_on;
            if piece.is_empty() {
                break;
            }
            yield Bytes::from(piece);
        }
    };
    pieces.boxed()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
