//! Bytes as they lie in the file: compressed, with a checksum.

use std::io::{Read as _, Write as _};

/// Speed before size.
const ZSTD_LEVEL: i32 = 1;
/// Largest checkpoint or report read back, bytes: a damaged file must not take all memory.
const UNPACKED_BYTES_MAX: u64 = 4 << 30;

pub(super) fn pack(bytes: &[u8]) -> rusqlite::Result<Vec<u8>> {
    let packed = || {
        let mut encoder = zstd::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
        encoder.include_checksum(true)?;
        encoder.write_all(bytes)?;
        encoder.finish()
    };
    packed().map_err(|e: std::io::Error| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))
}

pub(super) fn unpack(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    zstd::Decoder::new(bytes)?.take(UNPACKED_BYTES_MAX).read_to_end(&mut unpacked)?;
    Ok(unpacked)
}
