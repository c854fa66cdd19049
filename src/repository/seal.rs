//! What the object of a content looks like.
//!
//! | bytes | content |
//! |---|---|
//! | 8 | `PSBCKUP` in ASCII, and the format, now 1 |
//! | 7 | what the nonces begin with, random for every writing |
//! | rest | the content as one zstd frame (RFC 8878), in chunks of 65536 bytes, the last one of 1 to 65536 |
//!
//! Each chunk is sealed with AES-256-GCM and followed by its 16-byte tag. Its nonce is the 7 bytes, the chunk's number in 4
//! (big endian, from 0), and 1 for the last chunk and 0 for any other: STREAM (<https://eprint.iacr.org/2015/189.pdf>), by
//! which no chunk can be left out, moved or added, at the end neither. The associated data is the backup's id (16 bytes).

use std::io::{self, Write as _};

use aead_stream::{DecryptorBE32, EncryptorBE32};
use aes_gcm::{Aes256Gcm, Key};
use bytes::{Buf as _, Bytes, BytesMut};
use zstd::stream::raw::{self, InBuffer, Operation as _, OutBuffer};
use zstd::stream::write;

use super::secret::ContentKey;
use crate::crypto::CryptoError;
use crate::domain::id::BackupId;

const MAGIC: &[u8; 7] = b"PSBCKUP";
const FORMAT: u8 = 1;
const PREFIX_LENGTH: usize = 7;
const HEADER_LENGTH: usize = MAGIC.len() + 1 + PREFIX_LENGTH;
/// Bytes of a chunk before it is sealed.
pub(super) const CHUNK: usize = 64 << 10;
const TAG_LENGTH: usize = 16;
/// The level from which on zstd gets slower faster than it gets smaller.
const LEVEL: i32 = 3;
/// Bytes of content that are decompressed at once, however many a chunk holds.
const PIECE: usize = 128 << 10;

/// Compresses and seals a content.
pub(super) struct Sealing {
    compressed: write::Encoder<'static, Vec<u8>>,
    encryptor: EncryptorBE32<Aes256Gcm>,
    backup: BackupId,
}

/// Why a content can't be sealed to its end.
const TOO_LONG: &str = "the content is longer than 256 TiB";

impl Sealing {
    /// With what the object begins with.
    pub fn begin(key: &ContentKey, backup: BackupId) -> Result<(Self, Vec<u8>), CryptoError> {
        let mut prefix = [0; PREFIX_LENGTH];
        getrandom::fill(&mut prefix).map_err(|_| CryptoError::NoRandomness)?;
        let encryptor = EncryptorBE32::new(&Key::<Aes256Gcm>::from(*key.expose()), &prefix.into());
        let compressed = write::Encoder::new(Vec::new(), LEVEL).and_then(|mut encoder| {
            encoder.include_checksum(true)?;
            Ok(encoder)
        });
        // It has nothing to read or to write, and a level that there is.
        let compressed = compressed.map_err(|_| CryptoError::NoRandomness)?;
        let header = [MAGIC.as_slice(), &[FORMAT], &prefix].concat();
        Ok((Self { compressed, encryptor, backup }, header))
    }

    /// Takes more of the content, and appends to `sealed` what there is of it by now.
    pub fn push(&mut self, content: &[u8], sealed: &mut Vec<u8>) -> io::Result<()> {
        self.compressed.write_all(content)?;
        let compressed = self.compressed.get_mut();
        // A chunk that may be the last is held back, for the last one is sealed as such.
        let whole = compressed.len().saturating_sub(1) / CHUNK * CHUNK;
        for chunk in compressed[..whole].chunks(CHUNK) {
            let mut chunk = chunk.to_vec();
            let next = self.encryptor.encrypt_next_in_place(self.backup.0.as_bytes(), &mut chunk);
            next.map_err(|_| io::Error::other(TOO_LONG))?;
            sealed.extend_from_slice(&chunk);
        }
        compressed.drain(..whole);
        Ok(())
    }

    /// Ends the content, and appends the rest to `sealed`.
    pub fn finish(mut self, sealed: &mut Vec<u8>) -> io::Result<()> {
        self.compressed.do_finish()?;
        self.push(&[], sealed)?;
        let mut last = std::mem::take(self.compressed.get_mut());
        let ended = self.encryptor.encrypt_last_in_place(self.backup.0.as_bytes(), &mut last);
        ended.map_err(|_| io::Error::other(TOO_LONG))?;
        sealed.extend_from_slice(&last);
        Ok(())
    }
}

/// Opens what [`Sealing`] sealed, and decompresses it. An error is what is wrong with the object, in words.
pub(super) struct Opening {
    key: ContentKey,
    backup: BackupId,
    /// None until the header was read, and again after the last chunk.
    decryptor: Option<DecryptorBE32<Aes256Gcm>>,
    sealed: BytesMut,
    decoder: raw::Decoder<'static>,
    compressed: Bytes,
    /// Whether the decoder may hold content that it had no room for.
    is_full: bool,
    frame_ended: bool,
}

const ANOTHER_FORMAT: &str = "it is no backup, or one of another format";
const TRUNCATED: &str = "it is truncated";
const ALTERED: &str = "it was altered or truncated, belongs to another backup, or was sealed with another key";
const NOT_COMPRESSED: &str = "what was sealed can't be decompressed";

impl Opening {
    pub fn new(key: &ContentKey, backup: BackupId) -> Result<Self, &'static str> {
        let decoder = raw::Decoder::new().map_err(|_| NOT_COMPRESSED)?;
        Ok(Self {
            key: key.clone(),
            backup,
            decryptor: None,
            sealed: BytesMut::new(),
            decoder,
            compressed: Bytes::new(),
            is_full: false,
            frame_ended: false,
        })
    }

    /// Takes more of the object; [`Opening::next`] is called until it has nothing more.
    pub fn push(&mut self, sealed: &[u8]) {
        self.sealed.extend_from_slice(sealed);
    }

    /// A piece of content, or None where more of the object is needed.
    pub fn next(&mut self) -> Result<Option<Bytes>, &'static str> {
        loop {
            if let Some(content) = self.decompress()? {
                return Ok(Some(content));
            }
            if self.decryptor.is_none() && !self.read_header()? {
                return Ok(None);
            }
            // What could be the last chunk is opened by `last` only.
            if self.sealed.len() <= CHUNK + TAG_LENGTH {
                return Ok(None);
            }
            let mut chunk = self.sealed.split_to(CHUNK + TAG_LENGTH).to_vec();
            let decryptor = self.decryptor.as_mut().ok_or(TRUNCATED)?;
            decryptor.decrypt_next_in_place(self.backup.0.as_bytes(), &mut chunk).map_err(|_| ALTERED)?;
            self.compressed = chunk.into();
        }
    }

    /// Tells that the object ended; then [`Opening::remaining`] is called until it has nothing more.
    pub fn last(&mut self) -> Result<(), &'static str> {
        let decryptor = self.decryptor.take().ok_or(TRUNCATED)?;
        if self.sealed.len() < TAG_LENGTH {
            return Err(TRUNCATED);
        }
        let mut chunk = self.sealed.split().to_vec();
        decryptor.decrypt_last_in_place(self.backup.0.as_bytes(), &mut chunk).map_err(|_| ALTERED)?;
        self.compressed = chunk.into();
        Ok(())
    }

    /// A piece of the last chunk's content.
    pub fn remaining(&mut self) -> Result<Option<Bytes>, &'static str> {
        match self.decompress()? {
            None if !self.frame_ended => Err(TRUNCATED),
            content => Ok(content),
        }
    }

    fn read_header(&mut self) -> Result<bool, &'static str> {
        if self.sealed.len() < HEADER_LENGTH {
            return Ok(false);
        }
        let header = self.sealed.split_to(HEADER_LENGTH);
        let (magic, prefix) = header.split_at(MAGIC.len() + 1);
        if magic[..MAGIC.len()] != *MAGIC || magic[MAGIC.len()] != FORMAT {
            return Err(ANOTHER_FORMAT);
        }
        let prefix: [u8; PREFIX_LENGTH] = prefix.try_into().map_err(|_| TRUNCATED)?;
        self.decryptor = Some(DecryptorBE32::new(&Key::<Aes256Gcm>::from(*self.key.expose()), &prefix.into()));
        Ok(true)
    }

    fn decompress(&mut self) -> Result<Option<Bytes>, &'static str> {
        while self.is_full || !self.compressed.is_empty() {
            if self.frame_ended {
                return Err(NOT_COMPRESSED);
            }
            let mut content = Vec::with_capacity(PIECE);
            let mut input = InBuffer::around(&self.compressed);
            let mut output = OutBuffer::around(&mut content);
            let hint = self.decoder.run(&mut input, &mut output).map_err(|_| NOT_COMPRESSED)?;
            let read = input.pos();
            self.compressed.advance(read);
            self.frame_ended = hint == 0;
            self.is_full = content.len() == PIECE && !self.frame_ended;
            if !content.is_empty() {
                return Ok(Some(content.into()));
            }
        }
        Ok(None)
    }
}
