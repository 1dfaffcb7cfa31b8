//! Node records (ENR, EIP-778, scheme "v4") with the entries of Waku: `rs` or `rsv` for shards and
//! `waku2` for protocols, as in `31/WAKU2-ENR` and `51/WAKU2-RELAY-SHARDING`.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::BASE64URL_NOPAD;
use k256::ecdsa::signature::hazmat::PrehashSigner;
use k256::ecdsa::{Signature, SigningKey};
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use sha3::{Digest, Keccak256};

/// Largest record that EIP-778 allows, in bytes.
const MAX_RECORD: usize = 300;
/// From this many shards on, they are written as a bit vector.
const MANY_SHARDS: usize = 64;

/// What a record says.
pub(crate) struct Facts<'a> {
    pub(crate) secret: &'a [u8; 32],
    pub(crate) address: Option<&'a Multiaddr>,
    pub(crate) cluster_id: u32,
    pub(crate) shards: &'a [u32],
    pub(crate) relay: bool,
    pub(crate) store: bool,
    pub(crate) filter: bool,
    pub(crate) lightpush: bool,
}

/// The record, signed, as `enr:…`.
pub(crate) fn encode(facts: &Facts<'_>) -> Result<String, String> {
    let key = SigningKey::from_slice(facts.secret).map_err(|_| "the node has no usable key")?;
    // Entries are sorted by their keys.
    let mut entries: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    entries.insert("id", b"v4".to_vec());
    entries.insert("secp256k1", key.verifying_key().to_sec1_point(true).as_bytes().to_vec());
    let served = [facts.relay, facts.store, facts.filter, facts.lightpush];
    let bits = served.iter().enumerate().map(|(bit, on)| u8::from(*on) << bit).sum();
    entries.insert("waku2", vec![bits]);
    if let Some((name, shards)) = shards(facts.cluster_id, facts.shards) {
        entries.insert(name, shards);
    }
    for part in facts.address.into_iter().flatten() {
        match part {
            Protocol::Ip4(ip) => drop(entries.insert("ip", ip.octets().to_vec())),
            Protocol::Ip6(ip) => drop(entries.insert("ip6", ip.octets().to_vec())),
            Protocol::Tcp(port) => drop(entries.insert("tcp", shortest(port.into()))),
            _ => {}
        }
    }
    // EIP-778 demands a number that grows with each new record.
    let seq = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |t| t.as_millis() as u64);
    let mut content = item(&shortest(seq));
    for (name, value) in &entries {
        content.extend(item(name.as_bytes()));
        content.extend(item(value));
    }
    let signature: Signature = key
        .sign_prehash(&Keccak256::digest(list(&content)))
        .map_err(|_| "the record could not be signed")?;
    let record = list(&[item(&signature.to_bytes()), content].concat());
    match record.len() <= MAX_RECORD {
        true => Ok(format!("enr:{}", BASE64URL_NOPAD.encode(&record))),
        false => Err("the record would be larger than 300 bytes".into()),
    }
}

/// `rs` lists shards in two bytes each; `rsv` has one bit for each of the 1024 shards.
fn shards(cluster: u32, shards: &[u32]) -> Option<(&'static str, Vec<u8>)> {
    let cluster = u16::try_from(cluster).ok()?.to_be_bytes();
    let shards: Vec<u16> = shards.iter().filter_map(|s| u16::try_from(*s).ok()).collect();
    let mut out = cluster.to_vec();
    if shards.len() < MANY_SHARDS {
        out.push(shards.len() as u8);
        out.extend(shards.iter().flat_map(|s| s.to_be_bytes()));
        return Some(("rs", out));
    }
    let mut bits = [0u8; 128];
    for shard in shards {
        *bits.get_mut(usize::from(shard / 8))? |= 1 << (shard % 8);
    }
    out.extend(bits);
    Some(("rsv", out))
}

/// Big-endian without leading zeros, as RLP writes numbers.
fn shortest(n: u64) -> Vec<u8> {
    n.to_be_bytes().into_iter().skip_while(|b| *b == 0).collect()
}

/// The RLP encoding of a byte string.
fn item(bytes: &[u8]) -> Vec<u8> {
    match bytes {
        [b] if *b < 0x80 => vec![*b],
        _ => prefixed(0x80, bytes),
    }
}

/// The RLP encoding of a list whose items are encoded already.
fn list(items: &[u8]) -> Vec<u8> {
    prefixed(0xc0, items)
}

fn prefixed(offset: u8, bytes: &[u8]) -> Vec<u8> {
    let length = shortest(bytes.len() as u64);
    let mut out = match bytes.len() {
        // At most 55, so it fits.
        short @ 0..=55 => vec![offset + short as u8],
        _ => [&[offset + 55 + length.len() as u8], length.as_slice()].concat(),
    };
    out.extend_from_slice(bytes);
    out
}

#[cfg(test)]
mod tests {
    use k256::ecdsa::signature::hazmat::PrehashVerifier;

    use super::*;

    #[test]
    fn rlp_follows_its_specification() {
        assert_eq!(item(b"dog"), b"\x83dog");
        assert_eq!(item(b""), [0x80]);
        assert_eq!(item(&[0x7f]), [0x7f]);
        assert_eq!(item(&[0x80]), [0x81, 0x80]);
        assert_eq!(list(&[item(b"cat"), item(b"dog")].concat()), b"\xc8\x83cat\x83dog");
        assert_eq!(item(&[7; 56])[..3], [0xb8, 56, 7]);
        assert_eq!(list(&[7; 300])[..3], [0xf9, 1, 44]);
        assert_eq!(item(&shortest(0)), [0x80]);
        assert_eq!(item(&shortest(1024)), [0x82, 4, 0]);
    }

    #[test]
    fn a_record_is_signed_over_what_it_says() {
        let address: Multiaddr = "/ip4/127.0.0.1/tcp/30303".parse().expect("an address");
        let facts = Facts {
            secret: &[7; 32],
            address: Some(&address),
            cluster_id: 66,
            shards: &[0, 5],
            relay: true,
            store: true,
            filter: false,
            lightpush: true,
        };
        let text = encode(&facts).expect("a record");
        let record = BASE64URL_NOPAD
            .decode(text.strip_prefix("enr:").expect("the prefix").as_bytes())
            .expect("base64");
        // A list of more than 55 and less than 256 bytes, then a signature of 64.
        assert_eq!((record[0], usize::from(record[1])), (0xf8, record.len() - 2));
        assert_eq!(record[2..4], [0xb8, 64]);
        let (signature, content) = record[4..].split_at(64);
        let key = SigningKey::from_slice(&[7; 32]).expect("a key");
        key.verifying_key()
            .verify_prehash(
                &Keccak256::digest(list(content)),
                &Signature::from_slice(signature).expect("a signature"),
            )
            .expect("signed");
        let has = |what: &[u8]| content.windows(what.len()).any(|w| w == what);
        assert!(has(b"\x82id\x82v4\x82ip\x84\x7f\0\0\x01\x82rs\x87\0\x42\x02\0\0\0\x05"));
        assert!(has(b"\x83tcp\x82\x76\x5f\x85waku2\x0b"));
    }

    #[test]
    fn many_shards_are_bits() {
        let all: Vec<u32> = (0..64).collect();
        let (name, bytes) = shards(1, &all).expect("shards");
        assert_eq!((name, bytes.len()), ("rsv", 130));
        assert_eq!(bytes[2..11], [255, 255, 255, 255, 255, 255, 255, 255, 0]);
        assert_eq!(shards(1, &[]), Some(("rs", vec![0, 1, 0])));
    }
}
