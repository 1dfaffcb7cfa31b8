//! The 42 functions, resolved at run time.
//!
//! One list makes the table, the names to look up, and a check by the compiler that each entry has
//! the type that bindgen read in the header. A function that is in the header and not in the list
//! is found by a test.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int, c_uint, c_void};

use crate::bindings::{self, WakuCallBack};

/// What all asynchronous functions have in common: a context in front, a callback behind.
macro_rules! function {
    ($($argument:ty),*) => {
        unsafe extern "C" fn(*mut c_void, $($argument,)* WakuCallBack, *mut c_void) -> c_int
    };
}

macro_rules! symbols {
    ($($name:ident: $type:ty;)*) => {
        /// The functions of one loaded library; each is named and typed as in the header.
        #[allow(missing_docs)]
        #[derive(Clone, Copy, Debug)]
        pub struct Symbols {
            $(pub $name: $type,)*
        }

        impl Symbols {
            /// Names of all functions, in the order of the header.
            pub const NAMES: &[&'static str] = &[$(stringify!($name)),*];

            /// Looks all functions up. Nothing is called.
            ///
            /// # Errors
            ///
            /// The names of all that are missing.
            ///
            /// # Safety
            ///
            /// `resolve` must answer with the address of the function of that name in a library
            /// that declares it as the header does, and that stays loaded, or with none.
            pub(crate) unsafe fn resolve(
                mut resolve: impl FnMut(&'static str) -> Option<*mut c_void>,
            ) -> Result<Self, Vec<&'static str>> {
                let mut missing = Vec::new();
                $(
                    let address = resolve(stringify!($name)).filter(|a| !a.is_null());
                    let $name = address.unwrap_or_else(|| {
                        missing.push(stringify!($name));
                        std::ptr::null_mut()
                    });
                )*
                if !missing.is_empty() {
                    return Err(missing);
                }
                Ok(Self {
                    $(
                        // SAFETY: not null, or it would be missing; the caller promises that it
                        // is a function of this type.
                        $name: unsafe { std::mem::transmute::<*mut c_void, $type>($name) },
                    )*
                })
            }
        }

        // Never called; it compiles only if the types are those of the bindings.
        const _: fn() = || {
            $(let _: $type = bindings::$name;)*
        };
    };
}

symbols! {
    waku_new: unsafe extern "C" fn(*const c_char, WakuCallBack, *mut c_void) -> *mut c_void;
    waku_start: function!();
    waku_stop: function!();
    waku_destroy: function!();
    waku_version: function!();
    waku_set_event_callback: unsafe extern "C" fn(*mut c_void, WakuCallBack, *mut c_void);
    waku_content_topic: function!(*const c_char, c_uint, *const c_char, *const c_char);
    waku_pubsub_topic: function!(*const c_char);
    waku_default_pubsub_topic: function!();
    waku_relay_publish: function!(*const c_char, *const c_char, c_uint);
    waku_relay_subscribe: function!(*const c_char);
    waku_relay_add_protected_shard: function!(c_int, c_int, *mut c_char);
    waku_relay_unsubscribe: function!(*const c_char);
    waku_relay_get_num_connected_peers: function!(*const c_char);
    waku_relay_get_connected_peers: function!(*const c_char);
    waku_relay_get_num_peers_in_mesh: function!(*const c_char);
    waku_relay_get_peers_in_mesh: function!(*const c_char);
    waku_filter_subscribe: function!(*const c_char, *const c_char);
    waku_filter_unsubscribe: function!(*const c_char, *const c_char);
    waku_filter_unsubscribe_all: function!();
    waku_lightpush_publish: function!(*const c_char, *const c_char);
    waku_store_query: function!(*const c_char, *const c_char, c_int);
    waku_connect: function!(*const c_char, c_uint);
    waku_disconnect_peer_by_id: function!(*const c_char);
    waku_disconnect_all_peers: function!();
    waku_dial_peer: function!(*const c_char, *const c_char, c_int);
    waku_dial_peer_by_id: function!(*const c_char, *const c_char, c_int);
    waku_get_peerids_from_peerstore: function!();
    waku_get_connected_peers_info: function!();
    waku_get_peerids_by_protocol: function!(*const c_char);
    waku_listen_addresses: function!();
    waku_get_connected_peers: function!();
    waku_dns_discovery: function!(*const c_char, *const c_char, c_int);
    waku_discv5_update_bootnodes: function!(*mut c_char);
    waku_start_discv5: function!();
    waku_stop_discv5: function!();
    waku_peer_exchange_request: function!(c_int);
    waku_get_my_enr: function!();
    waku_get_my_peerid: function!();
    waku_get_metrics: function!();
    waku_ping_peer: function!(*const c_char, c_int);
    waku_is_online: function!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_all_functions_of_the_header_in_its_order() {
        let names = |text: &'static str, before: &str| -> Vec<&str> {
            let found = text.match_indices("waku_").filter(|(at, _)| text[..*at].ends_with(before));
            found.filter_map(|(at, _)| text[at..].split('(').next()).collect()
        };
        let bindings = names(include_str!("bindings.rs"), "pub fn ");
        assert_eq!(Symbols::NAMES.len(), 42);
        assert_eq!(bindings, Symbols::NAMES);
        let header = include_str!("../../vendor/libwaku.h");
        for name in Symbols::NAMES {
            assert!(header.contains(&format!("{name}(")), "{name} is not in the header");
        }
    }

    #[test]
    fn all_that_is_missing_is_named_and_nothing_is_called() {
        let anything = std::ptr::dangling_mut();
        // SAFETY: what is not complete is not used, and nothing else comes out of this.
        let error = unsafe {
            Symbols::resolve(|name| match name {
                "waku_stop" => None,
                "waku_is_online" => Some(std::ptr::null_mut()),
                _ => Some(anything),
            })
        };
        assert_eq!(error.err(), Some(vec!["waku_stop", "waku_is_online"]));
    }

    #[cfg(feature = "bindgen")]
    #[test]
    fn the_bindings_checked_in_are_those_of_the_header() {
        let generated = include_str!(concat!(env!("OUT_DIR"), "/bindings.rs"));
        assert_eq!(
            generated,
            include_str!("bindings.rs"),
            "copy the generated file over src/bindings.rs"
        );
    }
}
