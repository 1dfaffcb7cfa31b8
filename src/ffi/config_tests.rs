#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const HUNTER: &str = "hunter2-hunter2";

fn config() -> Value {
    json!({
        "database": "/somewhere/chat.db",
        "passphrase": HUNTER,
        "network": "fast",
        "transport": {"offline": {}},
    })
}

fn read(value: &Value) -> Result<Config, ConfigError> {
    Config::read(&value.to_string())
}

/// The text of the error that this is.
fn refused(value: &Value) -> String {
    match read(value) {
        Ok(_) => panic!("it was read: {value}"),
        Err(error) => error.to_string(),
    }
}

/// The configuration with another member.
fn with(name: &str, value: Value) -> Value {
    let mut config = config();
    config[name] = value;
    config
}

#[test]
fn a_configuration_is_read_as_it_is_meant() {
    let read_one = read(&config()).unwrap();
    assert_eq!(read_one.database, PathBuf::from("/somewhere/chat.db"));
    assert_eq!(read_one.network, NetworkParams::fast());
    assert!(matches!(&read_one.key, DatabaseKey::Passphrase(text) if text.as_str() == HUNTER));
    assert!(read_one.create.is_none());
    assert!(matches!(read_one.transport, Some(TransportConfig::Offline)));

    let params = NetworkParams { name: "mine".to_owned(), ..NetworkParams::public() };
    let mut other = with("network", serde_json::to_value(&params).unwrap());
    other["key"] = json!("0123456789abcdefABCDEF0123456789abcdef0123456789abcdef0123456789");
    other.as_object_mut().unwrap().remove("passphrase");
    other["transport"] = json!({"libwaku": {
        "tcp_port": 60001, "library": "/lib/libwaku.so", "dns_servers": ["192.0.2.1", "::1"],
    }});
    let other = read(&other).unwrap();
    assert_eq!(other.network, params);
    assert!(matches!(&other.key, DatabaseKey::Raw(key) if key[..3] == [1, 0x23, 0x45]));
    let Some(TransportConfig::Libwaku {
        library,
        listen_address,
        tcp_port,
        cluster,
        peers,
        dns_servers,
    }) = other.transport
    else {
        panic!("another transport")
    };
    assert_eq!(library, Some(PathBuf::from("/lib/libwaku.so")));
    assert_eq!((listen_address, tcp_port.get()), (loopback(), 60001));
    assert_eq!((u32::from(cluster), peers.len()), (params.cluster, 0));
    assert_eq!(dns_servers, ["192.0.2.1", "::1"].map(|ip| ip.parse::<IpAddr>().unwrap()));
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (name, value, says) in [
        ("database", json!(""), "database is not a path"),
        ("database", json!("a\0b"), "database is not a path"),
        ("database", Value::Null, "expected a string"),
        ("passphrase", json!(""), "empty"),
        ("passphrase", Value::Null, "passphrase and key"),
        ("key", json!("00"), "passphrase and key"),
        ("network", json!("slow"), "\"public\", \"fast\""),
        ("network", json!({"name": "x"}), "missing field `cluster`"),
        ("create", json!({}), "missing field `phrase`"),
        ("create", json!({"phrase": "one two"}), "24 words"),
        ("transport", json!({}), "expected"),
        (
            "transport",
            json!({"carrier_pigeon": {}}),
            "`embedded`, `libwaku`, `attached`, `offline`",
        ),
        ("transport", json!({"embedded": {"peers": ["nowhere"]}}), "peers[0]"),
        ("transport", json!({"embedded": {"listen": vec!["/ip4/127.0.0.1/tcp/0"; 65]}}), "64"),
        ("transport", json!({"embedded": {"port": 1}}), "`listen` or `peers`"),
        ("transport", json!({"libwaku": {"tcp_port": 0}}), "nonzero"),
        (
            "transport",
            json!({"libwaku": {"tcp_port": 1, "dns_servers": vec!["::1"; 65]}}),
            "dns_servers: at most 64",
        ),
        ("transport", json!({"libwaku": {}}), "missing field `tcp_port`"),
        ("transport", json!({"offline": {"why": 1}}), "line 1"),
        ("paswsord", json!("x"), "`passphrase`"),
    ] {
        let error = refused(&with(name, value.clone()));
        assert!(error.contains(says), "{name} {value}: {error}");
    }
    let mut network = serde_json::to_value(NetworkParams::fast()).unwrap();
    network["shards"] = json!(0);
    assert!(refused(&with("network", network.clone())).contains("shards"));
    network["shards"] = json!(1);
    network["color"] = json!("blue");
    assert!(refused(&with("network", network.clone())).contains("`rank_delay_ms`"));
    network.as_object_mut().unwrap().remove("color");
    network["cluster"] = json!(65_536);
    let mut large = with("network", network);
    assert!(read(&large).is_ok());
    large["transport"] = json!({"attached": {}});
    assert!(refused(&large).contains("65535"));
    for bad in ["", "[]", "{", "null", "\"x\"", "{}", &"[".repeat(10_000), &"{\"a\":".repeat(9_000)]
    {
        assert!(Config::read(bad).is_err(), "{bad:.20}");
    }
}

/// Wherever a secret is put by mistake, in whatever shape, the error does not have it.
#[test]
fn errors_quote_nothing() {
    let digits: u64 = 493_827_156_493;
    let mut shapes: Vec<Value> = vec![
        json!(HUNTER),
        json!(digits),
        json!(digits as f64 + 0.5),
        json!([HUNTER]),
        json!({HUNTER: 1}),
        json!({"phrase": HUNTER}),
        json!({"phrase": digits}),
        json!({"phrase": {HUNTER: HUNTER}}),
        json!({"embedded": HUNTER}),
        json!({"embedded": {"peers": [HUNTER]}}),
        json!({"embedded": {HUNTER: 1}}),
        json!({"libwaku": {"listen_address": HUNTER, "tcp_port": 1}}),
        json!({"libwaku": {"tcp_port": digits}}),
        json!({HUNTER: {}}),
        json!(format!("{HUNTER}, expected {HUNTER}")),
    ];
    shapes.push(json!({"offline": HUNTER}));
    shapes.push(json!({"offline": {format!("a, expected {HUNTER}"): 1}}));
    let mut errors = 0;
    for name in ["database", "passphrase", "key", "network", "create", "transport", HUNTER] {
        for shape in &shapes {
            if let Err(error) = read(&with(name, shape.clone())) {
                errors += 1;
                let told = format!("{error} {error:?}");
                assert!(!told.contains("hunter2"), "{name} {shape}: {told}");
                assert!(!told.contains("493827156493"), "{name} {shape}: {told}");
            }
        }
    }
    assert!(errors > 80, "{errors}");
}

/// JSON of any shape that has the members of a configuration.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        Just(json!("fast")),
        Just(json!("/ip4/127.0.0.1/tcp/0")),
        "[0-9a-fA-F]{64}".prop_map(Value::from),
    ];
    let name = prop_oneof![
        "database|passphrase|key|network|create|transport|phrase",
        "embedded|libwaku|attached|offline|listen|peers|library|tcp_port|listen_address|dns_servers",
        "name|cluster|shards|slot_secs|invitation_delay_ms|rank_delay_ms",
        ".{0,8}",
    ];
    leaf.prop_recursive(4, 48, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(name.clone(), inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,400}") {
        let _ = Config::read(&text);
    }

    #[test]
    fn any_json_is_read_or_refused(value in any_json()) {
        let _ = Config::read(&value.to_string());
    }

    #[test]
    fn any_member_is_read_or_refused(name in "[a-z]{3,10}", value in any_json()) {
        for name in [name.as_str(), "database", "key", "network", "create", "transport"] {
            let _ = read(&with(name, value.clone()));
        }
    }

    /// A configuration that was cut off anywhere is refused.
    #[test]
    fn a_cut_is_refused(at in 0_usize..100) {
        let text = config().to_string();
        let at = at.min(text.len() - 1);
        prop_assert!(Config::read(&text[..at]).is_err());
    }
}
