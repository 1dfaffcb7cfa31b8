/*
 * The C interface of waku-chat: end-to-end encrypted group chat over Waku.
 *
 * docs/C-API.md says how to use it: what the JSON looks like, and what goes on in threads. In short:
 *
 * - Functions return a code, WAKU_CHAT_CODE_OK (0) if all went well. Where one takes `error`, that
 *   receives {"code": "...", "message": "...", "retryable": false}, to be freed.
 * - Texts are UTF-8 and end with a zero byte. What goes in stays the caller's, unchanged during the
 *   call, and is not needed after it. What comes out is freed with waku_chat_free_string.
 * - What is written to is emptied first, and belongs to one call at a time.
 * - Any thread may call any function at any time, but for one: from a callback of a node that a chat
 *   is attached to, only waku_chat_handle_event may be called.
 * - A chat is a number. One that was closed is an error, not undefined.
 *
 * Generated from src/ffi by tests/header.rs: do not edit.
 */

#ifndef WAKU_CHAT_H
#define WAKU_CHAT_H

#include <stddef.h>
#include <stdint.h>

/**
 * A time without a limit, in milliseconds.
 */
#define WAKU_CHAT_NO_LIMIT -1

/**
 * What a call returns. The numbers stay as they are; later versions may add further ones. The text of
 * an error has a finer code, see docs/C-API.md.
 */
enum WakuChatCode
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * It was done.
   */
  WAKU_CHAT_CODE_OK = 0,
  /**
   * A pointer is NULL that may not be, or a text is not UTF-8 or too long.
   */
  WAKU_CHAT_CODE_INVALID_ARGUMENT = 1,
  /**
   * There is no such chat: it was closed, or never opened.
   */
  WAKU_CHAT_CODE_CLOSED = 2,
  /**
   * The configuration is not understood.
   */
  WAKU_CHAT_CODE_BAD_CONFIG = 3,
  /**
   * There is no such method, or it has other parameters.
   */
  WAKU_CHAT_CODE_BAD_REQUEST = 4,
  /**
   * The account says no, and nothing was changed.
   */
  WAKU_CHAT_CODE_REFUSED = 5,
  /**
   * It took longer than the time that was given.
   */
  WAKU_CHAT_CODE_TIMEOUT = 6,
  /**
   * There is no account, or one already, or it belongs to another network.
   */
  WAKU_CHAT_CODE_ACCOUNT = 7,
  /**
   * The database cannot be used: a wrong key, another process has it, the disk is full.
   */
  WAKU_CHAT_CODE_DATABASE = 8,
  /**
   * The Waku node does not start, or libwaku cannot be loaded, or no peer keeps history.
   */
  WAKU_CHAT_CODE_NODE = 9,
  /**
   * The operating system has no thread or no randomness left.
   */
  WAKU_CHAT_CODE_SYSTEM = 10,
  /**
   * A fault of this library.
   */
  WAKU_CHAT_CODE_INTERNAL = 11,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum WakuChatCode WakuChatCode;
#else
typedef int32_t WakuChatCode;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * An open chat: an account on this device. A number that stands for it, never 0 and never used for
 * another one again.
 */
typedef uint64_t WakuChat;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Opens an account, or makes a new one, on a Waku node of its own.
 *
 * @param config_json  a JSON object, see docs/C-API.md; 64 KiB at most
 * @param chat         receives the chat, or 0
 * @param error        receives the error's text, or NULL; may be NULL
 *
 * Blocks while the passphrase is stretched, the database opened and the node started: a second or
 * two. A configuration is not kept, and no error quotes from it.
 */
WakuChatCode waku_chat_open(const char *config_json, WakuChat *chat, char **error);

/**
 * Opens an account, or makes a new one, on a node of libwaku that this process has and that runs.
 *
 * @param config_json   as for waku_chat_open, with "transport" absent or "attached"
 * @param waku_context  what waku_new returned; started with waku_start
 * @param chat          receives the chat, or 0
 * @param error         receives the error's text, or NULL; may be NULL
 *
 * The node stays the host's: nothing of it is started, stopped or destroyed, and its event callback
 * stays set. The host hands the events that it gets on with waku_chat_handle_event, and does not
 * destroy the node before waku_chat_close has returned WAKU_CHAT_CODE_OK. Several chats can be
 * attached to one node.
 */
WakuChatCode waku_chat_attach(const char *config_json,
                              void *waku_context,
                              WakuChat *chat,
                              char **error);

/**
 * Hands on what the event callback of an attached node was called with.
 *
 * @param chat  an attached chat
 * @param ret   the callback's first argument; RET_OK (0) comes with an event
 * @param msg   its text; may be NULL if len is 0
 * @param len   the text's length in bytes
 *
 * Made to be called from that callback: it copies the event and returns, and neither waits nor calls
 * libwaku. The only function that may be called there. Any thread may call it, several at once. For
 * a chat that was closed it does nothing but return WAKU_CHAT_CODE_CLOSED. Events that the chat cannot
 * keep up with are dropped oldest first, and what they brought is fetched from a Store.
 */
WakuChatCode waku_chat_handle_event(WakuChat chat,
                                    int ret,
                                    const char *msg,
                                    size_t len);

/**
 * Carries out a method: everything that an account can do, by the names in docs/C-API.md.
 *
 * @param chat         the chat
 * @param method       the method's name
 * @param params_json  its parameters, a JSON object of 1 MiB at most; NULL if there are none
 * @param timeout_ms   time to wait for the result; negative: as long as it takes
 * @param result       receives the result as JSON, or NULL; may be NULL
 * @param error        receives the error's text, or NULL; may be NULL
 *
 * A command whose time is over may be carried out all the same.
 */
WakuChatCode waku_chat_request(WakuChat chat,
                               const char *method,
                               const char *params_json,
                               int64_t timeout_ms,
                               char **result,
                               char **error);

/**
 * Sends a text to a group: the method "send". It is on disk when this returns, and goes out as soon
 * as there is a connection.
 *
 * @param chat        the chat
 * @param group       the group's id
 * @param text        what to send, UTF-8
 * @param timeout_ms  time to wait; negative: as long as it takes
 * @param message     receives the message's hash, which events and history name it by, or NULL; may
 *                    be NULL
 * @param error       receives the error's text, or NULL; may be NULL
 */
WakuChatCode waku_chat_send(WakuChat chat,
                            const char *group,
                            const char *text,
                            int64_t timeout_ms,
                            char **message,
                            char **error);

/**
 * Waits for the next event.
 *
 * @param chat        the chat
 * @param timeout_ms  time to wait; 0: only look; negative: until there is one, or the chat is closed
 * @param event_json  receives {"event": {"type": ...}, "cursor": ...}, or NULL if there was none
 *                    within the time, which is no error
 * @param error       receives the error's text, or NULL; may be NULL
 *
 * Events come in their order, each once as long as the chat is open. After it was opened anew those
 * come again that were not acknowledged with waku_chat_ack. Several threads may wait: each event goes
 * to one of them.
 */
WakuChatCode waku_chat_next_event(WakuChat chat,
                                  int64_t timeout_ms,
                                  char **event_json,
                                  char **error);

/**
 * Forgets events up to a cursor: the host has dealt with them.
 *
 * @param chat    the chat
 * @param cursor  that of the last event that was dealt with
 * @param error   receives the error's text, or NULL; may be NULL
 */
WakuChatCode waku_chat_ack(WakuChat chat, uint64_t cursor, char **error);

/**
 * Closes a chat. Calls on it that are under way return with WAKU_CHAT_CODE_CLOSED, as do all later
 * ones, a second waku_chat_close among them.
 *
 * @param chat  the chat
 * @return WAKU_CHAT_CODE_OK: the database is closed, and no thread or descriptor of the chat is left;
 *         WAKU_CHAT_CODE_TIMEOUT, for an attached chat only: it is closed, but the node has not yet
 *         taken a request that was under way. The node must not be destroyed; call again.
 *         WAKU_CHAT_CODE_CLOSED: there is no such chat, or another thread is closing it.
 *
 * What was sent and is not published yet is given 5 seconds if there is a connection; it goes out the
 * next time otherwise. An own node of libwaku takes up to 11 seconds to end.
 */
WakuChatCode waku_chat_close(WakuChat chat);

/**
 * Makes a recovery phrase for a new account, for "create" in the configuration. It is the account:
 * show it to the user once, to be written down, and keep it nowhere.
 *
 * @param phrase  receives 24 words
 * @param error   receives the error's text, or NULL; may be NULL
 */
WakuChatCode waku_chat_new_phrase(char **phrase, char **error);

/**
 * Frees a text that a function here has returned, after overwriting it. NULL is fine.
 */
void waku_chat_free_string(char *text);

/**
 * The version of this library, "1.2.3". Not to be freed.
 */
const char *waku_chat_version(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* WAKU_CHAT_H */
