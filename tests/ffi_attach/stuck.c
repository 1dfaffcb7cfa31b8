/*
 * A libwaku that does nothing but get stuck: every function refuses, except that subscribing to a topic
 * does not return until it is let go. For what a host has to be told then.
 *
 * Two pipes with names, given when this is compiled: opening one waits for who opens its other end.
 */
#include <fcntl.h>
#include <stddef.h>
#include <unistd.h>

#define REFUSES(name)                                                                  \
  int waku_##name(void);                                                               \
  int waku_##name(void) { return 1; }

void *waku_new(const char *config, void *callback, void *data);
void *waku_new(const char *config, void *callback, void *data) {
  (void)config, (void)callback, (void)data;
  return NULL;
}
void waku_set_event_callback(void *context, void *callback, void *data);
void waku_set_event_callback(void *context, void *callback, void *data) {
  (void)context, (void)callback, (void)data;
}

int waku_relay_subscribe(void *context, const char *topic, void *callback, void *data);
int waku_relay_subscribe(void *context, const char *topic, void *callback, void *data) {
  (void)context, (void)topic, (void)callback, (void)data;
  close(open(ENTERED, O_WRONLY));
  close(open(RELEASED, O_RDONLY));
  return 1;
}

REFUSES(start)
REFUSES(stop)
REFUSES(destroy)
REFUSES(version)
REFUSES(content_topic)
REFUSES(pubsub_topic)
REFUSES(default_pubsub_topic)
REFUSES(relay_publish)
REFUSES(relay_add_protected_shard)
REFUSES(relay_unsubscribe)
REFUSES(relay_get_num_connected_peers)
REFUSES(relay_get_connected_peers)
REFUSES(relay_get_num_peers_in_mesh)
REFUSES(relay_get_peers_in_mesh)
REFUSES(filter_subscribe)
REFUSES(filter_unsubscribe)
REFUSES(filter_unsubscribe_all)
REFUSES(lightpush_publish)
REFUSES(store_query)
REFUSES(connect)
REFUSES(disconnect_peer_by_id)
REFUSES(disconnect_all_peers)
REFUSES(dial_peer)
REFUSES(dial_peer_by_id)
REFUSES(get_peerids_from_peerstore)
REFUSES(get_connected_peers_info)
REFUSES(get_peerids_by_protocol)
REFUSES(listen_addresses)
REFUSES(get_connected_peers)
REFUSES(dns_discovery)
REFUSES(discv5_update_bootnodes)
REFUSES(start_discv5)
REFUSES(stop_discv5)
REFUSES(peer_exchange_request)
REFUSES(get_my_enr)
REFUSES(get_my_peerid)
REFUSES(get_metrics)
REFUSES(ping_peer)
REFUSES(is_online)
