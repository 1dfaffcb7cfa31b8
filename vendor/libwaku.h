/*
 * The C interface of libwaku, as this project declares it for itself.
 *
 * Written against libwaku v0.37.1 (nwaku). Names, argument types and their order are those of that
 * version, all 42 functions of it; the words are ours, and so are the warnings, which come from
 * running the library and from reading what it does. Where a later version differs, this file is
 * wrong and has to change first: `waku-sys` is generated from it.
 *
 * HOW A CALL WORKS
 *
 * A function either answers at once or hands the request to the node. Both ways the answer comes
 * through `callback`, exactly once for each call that returned RET_OK or RET_ERR: on the thread of
 * the caller, before the function returns, for errors in the arguments and for constants; on the
 * node's own thread, before or after the function returns, for everything else. Below, [caller]
 * and [node] say which; [node] functions fall back to [caller] when a request cannot be handed
 * over. A call that returns RET_MISSING_CALLBACK did nothing.
 *
 * `msg` holds `len` bytes of text without a terminator that anybody may rely on. It belongs to the
 * library, is gone when the callback returns, and may be NULL when `len` is 0. On RET_ERR it is
 * the reason, in English, partly in the words of remote peers.
 *
 * Strings that go in are UTF-8, end with a zero byte, and are copied before the function returns.
 * `userData` is passed through untouched. It has to stay valid until the callback, however late,
 * and nothing in the library says when that can no longer come: hand over a number to look up, not
 * a pointer to something that dies.
 *
 * WHAT MUST NOT BE DONE
 *
 * - Pass a NULL context. Nothing checks it, and the process ends.
 * - Use a context after waku_destroy, or in parallel with it.
 * - Call a [node] function of a node from one of its callbacks: the node waits for itself for ever.
 * - Do anything slow in a callback: the node stands still meanwhile.
 * - Unwind or longjmp out of a callback.
 * - Pass a JSON array where an object is expected: the process ends.
 * - Call in from many short-lived threads: each new one costs 68 KB that are never freed. And a
 *   large publish (800 KB) from the thread that called waku_new crashes: use one long-lived thread
 *   for new, start, subscribe (relay and filter), stop, destroy, and another one to publish and
 *   query. The library is built with a garbage collector that has a heap for each thread; what
 *   these functions register lives on the heap of their caller, and nothing there refers to it.
 *
 * Time-outs in the signatures are ignored unless the function says otherwise. Requests of one node
 * are taken one after another, and the calling thread waits until its request was taken, for as
 * long as the node is busy.
 */
#ifndef WAKU_CHAT_LIBWAKU_H
#define WAKU_CHAT_LIBWAKU_H

#include <stddef.h>

/* What functions return, and the first argument of a callback. */
#define RET_OK 0
#define RET_ERR 1
#define RET_MISSING_CALLBACK 2

#ifdef __cplusplus
extern "C" {
#endif

/* Receives an answer, or an event; see above for threads and ownership. */
typedef void (*WakuCallBack)(int callerRet, const char *msg, size_t len, void *userData);

/* ---- Life of a node ------------------------------------------------------------------------ */

/*
 * Creates a node from a JSON object; `waku_start` makes it listen. Returns its context, owned by
 * the caller until `waku_destroy`. NULL if there is no callback or no node could be made at all.
 * Answers with nothing. [node]
 *
 * TRAP: a configuration that is no good is answered with RET_ERR *and* with a context. That context
 * must be destroyed and must not be started, which would crash. Wait for the answer first.
 * TRAP: keys that are not known are ignored in silence, and an error may quote the configuration,
 * node key included. `tcpPort` 0 is refused. `nat` "any" takes seconds. Ports are opened for
 * sharing, so a clash with another process goes unnoticed. Unless `colocationLimit` is 0, only few
 * peers of one address are kept.
 */
void *waku_new(const char *configJson, WakuCallBack callback, void *userData);

/* Starts listening, and the protocols that were configured. Answers with nothing. [node] */
int waku_start(void *ctx, WakuCallBack callback, void *userData);

/* Stops what waku_start has started. Answers with nothing. [node] */
int waku_stop(void *ctx, WakuCallBack callback, void *userData);

/*
 * Ends the node's threads and frees the context. Answers with nothing. [caller]
 *
 * TRAP: blocks until both threads have ended, which takes up to 11 s on a node that is younger than
 * that. Requests that are under way get no answer any more, and no further event comes.
 */
int waku_destroy(void *ctx, WakuCallBack callback, void *userData);

/* Answers with the version of the library. [caller] */
int waku_version(void *ctx, WakuCallBack callback, void *userData);

/*
 * Sets who hears of events; there is one receiver for each node, and this replaces it. Events are
 * JSON objects with `eventType` "message", "connection_change", "relay_topic_health_change" or
 * "waku_not_responding", and come on either of the node's threads, so possibly two at a time.
 *
 * TRAP: callback and userData are stored one after the other, without a lock. Set them between
 * waku_new and waku_start, and leave them alone from then on.
 * TRAP: what a node publishes comes back to it as an event, even if it could not be published.
 */
void waku_set_event_callback(void *ctx, WakuCallBack callback, void *userData);

/* ---- Names --------------------------------------------------------------------------------- */

/* Answers with "/appName/appVersion/contentTopicName/encoding". Nothing is checked. [caller] */
int waku_content_topic(void *ctx, const char *appName, unsigned int appVersion,
                       const char *contentTopicName, const char *encoding, WakuCallBack callback,
                       void *userData);

/* Answers with "/waku/2/" and the name. [caller] */
int waku_pubsub_topic(void *ctx, const char *topicName, WakuCallBack callback, void *userData);

/* Answers with the pubsub topic that the library regards as its default. [caller] */
int waku_default_pubsub_topic(void *ctx, WakuCallBack callback, void *userData);

/* ---- Relay --------------------------------------------------------------------------------- */

/*
 * Publishes a message, a JSON object {"payload": base64, "contentTopic", "timestamp": nanoseconds,
 * "version", "ephemeral", "meta": base64}. Answers with the message hash, 0x and 64 hex digits.
 * [node]; errors in the JSON [caller]
 *
 * TRAP: without a timestamp the message gets one and the answer is the hash of another message.
 * TRAP: "NoPeersToPublish" is the answer to a message that nobody is there for, and as well to one
 * that was seen within two minutes.
 * TRAP: success says that the message was queued. What is larger than 150 KiB on the wire is lost
 * after it, and so is more than half of 2,000 messages at once.
 */
int waku_relay_publish(void *ctx, const char *pubSubTopic, const char *jsonWakuMessage,
                       unsigned int timeoutMs, WakuCallBack callback, void *userData);

/*
 * Takes part in a pubsub topic; its messages come as events. Doing so again changes nothing, and
 * topics named by "shards" in the configuration are subscribed at the start. Answers with nothing.
 * [node]
 */
int waku_relay_subscribe(void *ctx, const char *pubSubTopic, WakuCallBack callback,
                         void *userData);

/*
 * Accepts only messages on the shard that are signed by the key. Answers with nothing. [node]
 */
int waku_relay_add_protected_shard(void *ctx, int clusterId, int shardId, char *publicKey,
                                   WakuCallBack callback, void *userData);

/* Meant to leave a pubsub topic. TRAP: fails; stop the node instead. [node] */
int waku_relay_unsubscribe(void *ctx, const char *pubSubTopic, WakuCallBack callback,
                           void *userData);

/* Answers with the number of connected peers on a topic, of all topics for "". [node] */
int waku_relay_get_num_connected_peers(void *ctx, const char *pubSubTopic, WakuCallBack callback,
                                       void *userData);

/* Answers with the ids of connected peers on a topic, separated by commas. [node] */
int waku_relay_get_connected_peers(void *ctx, const char *pubSubTopic, WakuCallBack callback,
                                   void *userData);

/*
 * Answers with the number of peers in the mesh of a topic, of all topics for "". [node]
 *
 * TRAP: after an overload it can stay 0 for ever although peers are connected. Disconnecting and
 * connecting again cures it.
 */
int waku_relay_get_num_peers_in_mesh(void *ctx, const char *pubSubTopic, WakuCallBack callback,
                                     void *userData);

/* Answers with the ids of peers in the mesh of a topic, separated by commas. [node] */
int waku_relay_get_peers_in_mesh(void *ctx, const char *pubSubTopic, WakuCallBack callback,
                                 void *userData);

/* ---- Filter and lightpush, for nodes without relay -------------------------------------------- */

/*
 * Asks a peer that serves filter for the messages of content topics, separated by commas; they come
 * as events. Answers with nothing. [node], within 5 s
 *
 * TRAP: each call adds a receiver, so N calls make N events of each message.
 * TRAP: answers with success even where the server is dead, and the server forgets a subscription
 * after 5 minutes unless it is asked again. At most 100 topics in a call.
 */
int waku_filter_subscribe(void *ctx, const char *pubSubTopic, const char *contentTopics,
                          WakuCallBack callback, void *userData);

/* The opposite. Answers with nothing. [node], within 5 s */
int waku_filter_unsubscribe(void *ctx, const char *pubSubTopic, const char *contentTopics,
                            WakuCallBack callback, void *userData);

/* Ends all subscriptions at one server. Answers with nothing. [node], within 5 s */
int waku_filter_unsubscribe_all(void *ctx, WakuCallBack callback, void *userData);

/*
 * Has a peer that serves lightpush publish a message, given as for waku_relay_publish. Answers with
 * the message hash. [node]; errors in the JSON [caller]
 *
 * TRAP: looks for a peer with version 3 of the protocol, then speaks version 2 with it.
 */
int waku_lightpush_publish(void *ctx, const char *pubSubTopic, const char *jsonWakuMessage,
                           WakuCallBack callback, void *userData);

/* ---- Store --------------------------------------------------------------------------------- */

/*
 * Asks the Store of the peer at `peerAddr`, a multiaddress that ends with /p2p/ and its id, for one
 * page of history. The query is a JSON object with "requestId", "includeData", "paginationForward",
 * and, as one likes, "pubsubTopic", "contentTopics", "timeStart", "timeEnd", "messageHashes",
 * "paginationLimit", "paginationCursor" (a hash, exclusive). Answers with a JSON object
 * {"requestId", "statusCode", "statusDesc", "messages": [{"messageHash", "message",
 * "pubsubTopic"}], "paginationCursor"}. [node]
 *
 * TRAP: without any one of the first three members the process ends. An empty cursor is an error:
 * leave it out.
 * TRAP: in the answer payload and meta are arrays of numbers, not base64.
 */
int waku_store_query(void *ctx, const char *jsonQuery, const char *peerAddr, int timeoutMs,
                     WakuCallBack callback, void *userData);

/* ---- Peers --------------------------------------------------------------------------------- */

/*
 * Dials peers, multiaddresses separated by commas, each ending with /p2p/ and an id. [node]
 *
 * TRAP: answers with success even where it failed, after up to 10 s. Whether there is a connection
 * is told by the event "connection_change". A peer that goes away is not dialled again.
 */
int waku_connect(void *ctx, const char *peerMultiAddr, unsigned int timeoutMs,
                 WakuCallBack callback, void *userData);

/* Closes the connections to a peer. Answers with nothing. [node] */
int waku_disconnect_peer_by_id(void *ctx, const char *peerId, WakuCallBack callback,
                               void *userData);

/* Closes all connections. Answers with nothing. [node] */
int waku_disconnect_all_peers(void *ctx, WakuCallBack callback, void *userData);

/* Opens a stream for a protocol to a peer, dialling it first. Answers with nothing. [node] */
int waku_dial_peer(void *ctx, const char *peerMultiAddr, const char *protocol, int timeoutMs,
                   WakuCallBack callback, void *userData);

/* The same for a peer whose addresses are known. Answers with nothing. [node] */
int waku_dial_peer_by_id(void *ctx, const char *peerId, const char *protocol, int timeoutMs,
                         WakuCallBack callback, void *userData);

/* Answers with the ids of all peers ever heard of, separated by commas. [node] */
int waku_get_peerids_from_peerstore(void *ctx, WakuCallBack callback, void *userData);

/*
 * Answers with a JSON object that has the id of each connected peer as a key, and as value
 * {"protocols": [...], "addresses": [...]}. The addresses may lack the id. [node]
 */
int waku_get_connected_peers_info(void *ctx, WakuCallBack callback, void *userData);

/* Answers with the ids of connected peers that speak a protocol, separated by commas. [node] */
int waku_get_peerids_by_protocol(void *ctx, const char *protocol, WakuCallBack callback,
                                 void *userData);

/*
 * Answers with the addresses of this node, separated by commas. [node]
 * TRAP: they may be such that nobody can dial, and do not tell what was configured.
 */
int waku_listen_addresses(void *ctx, WakuCallBack callback, void *userData);

/*
 * Answers with the ids of connected peers, separated by commas, once for each connection. [node]
 */
int waku_get_connected_peers(void *ctx, WakuCallBack callback, void *userData);

/* ---- Discovery ----------------------------------------------------------------------------- */

/*
 * Answers with the multiaddresses in an ENR tree, "enrtree://...", separated by commas, looked up at
 * the name server with this IP address. [node]
 */
int waku_dns_discovery(void *ctx, const char *entTreeUrl, const char *nameDnsServer, int timeoutMs,
                       WakuCallBack callback, void *userData);

/*
 * Replaces the records that discovery v5 starts from, a JSON array of texts "enr:...". [node]
 * TRAP: for nodes with discovery v5 only, as are the next two; nothing checks that it is there.
 */
int waku_discv5_update_bootnodes(void *ctx, char *bootnodes, WakuCallBack callback,
                                 void *userData);

/* Starts discovery v5. Answers with a remark. [node] */
int waku_start_discv5(void *ctx, WakuCallBack callback, void *userData);

/* Stops it. Answers with a remark. [node] */
int waku_stop_discv5(void *ctx, WakuCallBack callback, void *userData);

/*
 * Asks a peer for others. Answers with the number of those that came. [node]
 * TRAP: the library reads 64 bits of `numPeers`; callers pass 32, the others are whatever is there.
 */
int waku_peer_exchange_request(void *ctx, int numPeers, WakuCallBack callback, void *userData);

/* ---- This node ----------------------------------------------------------------------------- */

/* Answers with the node record, "enr:...". [node] */
int waku_get_my_enr(void *ctx, WakuCallBack callback, void *userData);

/* Answers with the peer id, in base58. [node] */
int waku_get_my_peerid(void *ctx, WakuCallBack callback, void *userData);

/* Answers with the metrics of all nodes in the process, in the text format of Prometheus. [node] */
int waku_get_metrics(void *ctx, WakuCallBack callback, void *userData);

/*
 * Measures the round trip to the peer at a multiaddress with /p2p/ and its id. Answers with
 * nanoseconds. The time-out counts here; 0 is none. [node]
 */
int waku_ping_peer(void *ctx, const char *peerAddr, int timeoutMs, WakuCallBack callback,
                   void *userData);

/* Answers with "true" or "false": whether the node takes itself for connected. [node] */
int waku_is_online(void *ctx, WakuCallBack callback, void *userData);

#ifdef __cplusplus
}
#endif

#endif /* WAKU_CHAT_LIBWAKU_H */
