pub const RET_OK: i32 = 0;
pub const RET_ERR: i32 = 1;
pub const RET_MISSING_CALLBACK: i32 = 2;
pub type WakuCallBack = ::core::option::Option<
    unsafe extern "C" fn(
        callerRet: ::core::ffi::c_int,
        msg: *const ::core::ffi::c_char,
        len: usize,
        userData: *mut ::core::ffi::c_void,
    ),
>;
unsafe extern "C" {
    pub fn waku_new(
        configJson: *const ::core::ffi::c_char,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> *mut ::core::ffi::c_void;
    pub fn waku_start(
        ctx: *mut ::core::ffi::c_void,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_stop(
        ctx: *mut ::core::ffi::c_void,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_destroy(
        ctx: *mut ::core::ffi::c_void,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_version(
        ctx: *mut ::core::ffi::c_void,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_set_event_callback(
        ctx: *mut ::core::ffi::c_void,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    );
    pub fn waku_content_topic(
        ctx: *mut ::core::ffi::c_void,
        appName: *const ::core::ffi::c_char,
        appVersion: ::core::ffi::c_uint,
        contentTopicName: *const ::core::ffi::c_char,
        encoding: *const ::core::ffi::c_char,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_pubsub_topic(
        ctx: *mut ::core::ffi::c_void,
        topicName: *const ::core::ffi::c_char,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_default_pubsub_topic(
        ctx: *mut ::core::ffi::c_void,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_relay_publish(
        ctx: *mut ::core::ffi::c_void,
        pubSubTopic: *const ::core::ffi::c_char,
        jsonWakuMessage: *const ::core::ffi::c_char,
        timeoutMs: ::core::ffi::c_uint,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_relay_subscribe(
        ctx: *mut ::core::ffi::c_void,
        pubSubTopic: *const ::core::ffi::c_char,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_relay_add_protected_shard(
        ctx: *mut ::core::ffi::c_void,
        clusterId: ::core::ffi::c_int,
        shardId: ::core::ffi::c_int,
        publicKey: *mut ::core::ffi::c_char,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_relay_unsubscribe(
        ctx: *mut ::core::ffi::c_void,
        pubSubTopic: *const ::core::ffi::c_char,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_relay_get_num_connected_peers(
        ctx: *mut ::core::ffi::c_void,
        pubSubTopic: *const ::core::ffi::c_char,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_relay_get_connected_peers(
        ctx: *mut ::core::ffi::c_void,
        pubSubTopic: *const ::core::ffi::c_char,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_relay_get_num_peers_in_mesh(
        ctx: *mut ::core::ffi::c_void,
        pubSubTopic: *const ::core::ffi::c_char,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_relay_get_peers_in_mesh(
        ctx: *mut ::core::ffi::c_void,
        pubSubTopic: *const ::core::ffi::c_char,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_filter_subscribe(
        ctx: *mut ::core::ffi::c_void,
        pubSubTopic: *const ::core::ffi::c_char,
        contentTopics: *const ::core::ffi::c_char,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_filter_unsubscribe(
        ctx: *mut ::core::ffi::c_void,
        pubSubTopic: *const ::core::ffi::c_char,
        contentTopics: *const ::core::ffi::c_char,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_filter_unsubscribe_all(
        ctx: *mut ::core::ffi::c_void,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_lightpush_publish(
        ctx: *mut ::core::ffi::c_void,
        pubSubTopic: *const ::core::ffi::c_char,
        jsonWakuMessage: *const ::core::ffi::c_char,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_store_query(
        ctx: *mut ::core::ffi::c_void,
        jsonQuery: *const ::core::ffi::c_char,
        peerAddr: *const ::core::ffi::c_char,
        timeoutMs: ::core::ffi::c_int,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_connect(
        ctx: *mut ::core::ffi::c_void,
        peerMultiAddr: *const ::core::ffi::c_char,
        timeoutMs: ::core::ffi::c_uint,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_disconnect_peer_by_id(
        ctx: *mut ::core::ffi::c_void,
        peerId: *const ::core::ffi::c_char,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_disconnect_all_peers(
        ctx: *mut ::core::ffi::c_void,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_dial_peer(
        ctx: *mut ::core::ffi::c_void,
        peerMultiAddr: *const ::core::ffi::c_char,
        protocol: *const ::core::ffi::c_char,
        timeoutMs: ::core::ffi::c_int,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_dial_peer_by_id(
        ctx: *mut ::core::ffi::c_void,
        peerId: *const ::core::ffi::c_char,
        protocol: *const ::core::ffi::c_char,
        timeoutMs: ::core::ffi::c_int,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_get_peerids_from_peerstore(
        ctx: *mut ::core::ffi::c_void,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_get_connected_peers_info(
        ctx: *mut ::core::ffi::c_void,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_get_peerids_by_protocol(
        ctx: *mut ::core::ffi::c_void,
        protocol: *const ::core::ffi::c_char,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_listen_addresses(
        ctx: *mut ::core::ffi::c_void,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_get_connected_peers(
        ctx: *mut ::core::ffi::c_void,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_dns_discovery(
        ctx: *mut ::core::ffi::c_void,
        entTreeUrl: *const ::core::ffi::c_char,
        nameDnsServer: *const ::core::ffi::c_char,
        timeoutMs: ::core::ffi::c_int,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_discv5_update_bootnodes(
        ctx: *mut ::core::ffi::c_void,
        bootnodes: *mut ::core::ffi::c_char,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_start_discv5(
        ctx: *mut ::core::ffi::c_void,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_stop_discv5(
        ctx: *mut ::core::ffi::c_void,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_peer_exchange_request(
        ctx: *mut ::core::ffi::c_void,
        numPeers: ::core::ffi::c_int,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_get_my_enr(
        ctx: *mut ::core::ffi::c_void,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_get_my_peerid(
        ctx: *mut ::core::ffi::c_void,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_get_metrics(
        ctx: *mut ::core::ffi::c_void,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_ping_peer(
        ctx: *mut ::core::ffi::c_void,
        peerAddr: *const ::core::ffi::c_char,
        timeoutMs: ::core::ffi::c_int,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
    pub fn waku_is_online(
        ctx: *mut ::core::ffi::c_void,
        callback: WakuCallBack,
        userData: *mut ::core::ffi::c_void,
    ) -> ::core::ffi::c_int;
}
