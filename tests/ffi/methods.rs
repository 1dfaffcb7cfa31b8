//! Methods with parameters of any kind.

use std::ptr::null_mut;

use proptest::prelude::*;
use serde_json::{Value, json};
use waku_chat::ffi::*;
use waku_chat::methods::Method;

use crate::host::{c, code, new_account, ok, open, request, request_within, result, send};

#[test]
fn methods_say_what_is_wrong() {
    let home = tempfile::tempdir().unwrap();
    let client = open(&new_account(&home.path().join("chat.db"))).unwrap();
    let bad = |method: &str, params: Value| code(request(client, method, params));
    let bad_params = (WakuChatCode::BadRequest, "bad_params".to_owned());
    let unknown = (WakuChatCode::BadRequest, "unknown_method".to_owned());
    assert_eq!(bad("no_such", Value::Null), unknown);
    assert_eq!(bad("shutdown", Value::Null), unknown);
    assert_eq!(bad("", Value::Null), unknown);
    assert_eq!(bad("groups", json!([])), bad_params);
    assert_eq!(bad("groups", json!({"all": true})), bad_params);
    assert_eq!(bad("group", json!({"group": "wkg1x"})), bad_params);
    let group = ok(client, "create_group", json!({"name": "G"}))["id"].clone();
    assert_eq!(bad("history", json!({"group": group, "limit": 1001})), bad_params);
    assert_eq!(bad("add_contact", json!({"link": "x"})).0, WakuChatCode::Refused);
    assert_eq!(code(send(client, "wkg1x", "hi")), bad_params);
    let (method, params, mut error) = (c("groups"), c("{"), null_mut());
    // SAFETY: texts, and a place of this function.
    let refused = unsafe {
        waku_chat_request(client, method.as_ptr(), params.as_ptr(), 0, null_mut(), &raw mut error)
    };
    assert_eq!(code(result(refused, error, ())), bad_params);
    // Every method is there: what it answers to nothing at all is not that it is unknown.
    for method in Method::ALL {
        if let Err((_, error)) = request_within(client, &method.to_string(), Value::Null, 50) {
            assert_ne!(error["code"], "unknown_method", "{method}");
        }
    }
    assert_eq!(waku_chat_close(client), WakuChatCode::Ok);
}

/// JSON of any shape, with the names that parameters have.
fn any_params() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        any::<[u8; 32]>().prop_map(|id| json!(waku_chat::GroupId(id))),
        any::<[u8; 32]>().prop_map(|id| json!(waku_chat::AccountId(id))),
    ];
    let name = "group|account|accounts|members|request|link|name|text|description|admin|cursor\
                |before|limit|[a-z]{1,6}";
    let value = leaf.prop_recursive(2, 16, 4, |inner| {
        proptest::collection::vec(inner, 0..4).prop_map(Value::from)
    });
    proptest::collection::btree_map(name, value, 0..5)
        .prop_map(|map| Value::Object(map.into_iter().collect()))
}

/// Whatever is asked, the answer is a result or an error that says why, and never a fault.
#[test]
fn any_request_is_answered() {
    let home = tempfile::tempdir().unwrap();
    let client = open(&new_account(&home.path().join("chat.db"))).unwrap();
    let mut runner = proptest::test_runner::TestRunner::default();
    let strategy = (0..Method::ALL.len(), any_params());
    runner
        .run(&strategy, |(method, params)| {
            let method = Method::ALL[method].to_string();
            let answer = request_within(client, &method, params.clone(), 5);
            if let Err((code, error)) = answer {
                prop_assert!(code != WakuChatCode::Internal, "{method} {params}: {error}");
                prop_assert!(code != WakuChatCode::Closed, "{method} {params}: {error}");
            }
            Ok(())
        })
        .unwrap();
    runner
        .run(&("[^\0]{0,80}", "[^\0]{0,200}"), |(method, params)| {
            let (method, params, mut error) = (c(&method), c(&params), null_mut());
            // SAFETY: texts, and a place of this closure.
            let code = unsafe {
                let (method, params) = (method.as_ptr(), params.as_ptr());
                waku_chat_request(client, method, params, 5, null_mut(), &raw mut error)
            };
            let (code, error) = result(code, error, ()).unwrap_err();
            let known = [WakuChatCode::BadRequest, WakuChatCode::InvalidArgument];
            prop_assert!(known.contains(&code), "{error}");
            Ok(())
        })
        .unwrap();
    assert!(ok(client, "identity", Value::Null).is_object());
    assert_eq!(waku_chat_close(client), WakuChatCode::Ok);
}
