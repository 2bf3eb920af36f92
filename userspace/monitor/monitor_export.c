// SPDX-License-Identifier: MIT
/* struct transport_state on its way through the monitor. */
#include <errno.h>
#include <string.h>

#include "core/rekey.h"
#include "lib/mem.h"
#include "monitor/monitor.h"
#include "packet/cipher.h"
#include "stream/banner.h"

static void put_keys(struct buf *body, const struct newkeys *keys)
{
	buf_put_u32(body, keys->cipher);
	buf_put_u32(body, keys->mac);
	buf_put_string(body, keys->key, keys->key_len);
	buf_put_string(body, keys->iv, keys->iv_len);
	buf_put_string(body, keys->mac_key, keys->mac_key_len);
}

int mon_put_state(struct buf *body, const struct transport_state *state)
{
	put_keys(body, &state->tx);
	put_keys(body, &state->rx);
	buf_put_u32(body, state->tx_pkt_seq);
	buf_put_u32(body, state->rx_pkt_seq);
	buf_put_u64(body, state->tx_packets);
	buf_put_u64(body, state->rx_packets);
	buf_put_u64(body, state->tx_bytes);
	buf_put_u64(body, state->rx_bytes);
	buf_put_string(body, state->session_id, state->session_id_len);
	buf_put_bool(body, state->strict_kex);
	buf_put_bool(body, state->peer_ext_info);
	buf_put_cstring(body, state->client_version);
	buf_put_cstring(body, state->server_version);
	return buf_error(body);
}

/* A string of at most @max bytes. */
static int get_bytes(struct buf *body, void *to, size_t max, uint8_t *to_len)
{
	const uint8_t *p;
	size_t len;
	int err;

	err = buf_get_string(body, &p, &len);
	if (err)
		return err;
	if (len > max)
		return -EPROTO;
	if (len)
		memcpy(to, p, len);
	*to_len = len;
	return 0;
}

static int get_keys(struct buf *body, struct newkeys *keys)
{
	uint32_t cipher, mac;
	int err;

	err = buf_get_u32(body, &cipher);
	if (!err)
		err = buf_get_u32(body, &mac);
	if (!err)
		err = get_bytes(body, keys->key, sizeof(keys->key),
				&keys->key_len);
	if (!err)
		err = get_bytes(body, keys->iv, sizeof(keys->iv),
				&keys->iv_len);
	if (!err)
		err = get_bytes(body, keys->mac_key, sizeof(keys->mac_key),
				&keys->mac_key_len);
	if (err)
		return err;
	if (cipher > UINT16_MAX || mac > UINT16_MAX)
		return -EPROTO;
	keys->cipher = cipher;
	keys->mac = mac;
	return 0;
}

static int get_version(struct buf *body, char *line)
{
	const uint8_t *p;
	size_t len;
	int err;

	err = buf_get_string(body, &p, &len);
	if (err)
		return err;
	if (len > VERSION_LINE_MAX || memchr(p, 0, len))
		return -EPROTO;
	memcpy(line, p, len);
	line[len] = 0;
	return 0;
}

static int get_fields(struct buf *body, struct transport_state *state)
{
	int err;

	err = get_keys(body, &state->tx);
	if (!err)
		err = get_keys(body, &state->rx);
	if (!err)
		err = buf_get_u32(body, &state->tx_pkt_seq);
	if (!err)
		err = buf_get_u32(body, &state->rx_pkt_seq);
	if (!err)
		err = buf_get_u64(body, &state->tx_packets);
	if (!err)
		err = buf_get_u64(body, &state->rx_packets);
	if (!err)
		err = buf_get_u64(body, &state->tx_bytes);
	if (!err)
		err = buf_get_u64(body, &state->rx_bytes);
	if (!err)
		err = get_bytes(body, state->session_id,
				sizeof(state->session_id),
				&state->session_id_len);
	if (!err)
		err = buf_get_bool(body, &state->strict_kex);
	if (!err)
		err = buf_get_bool(body, &state->peer_ext_info);
	if (!err)
		err = get_version(body, state->client_version);
	if (!err)
		err = get_version(body, state->server_version);
	return err ? err : buf_end(body);
}

static int check_keys(const struct newkeys *keys)
{
	if (keys->cipher == KSSH_CIPHER_NONE)
		return -EINVAL;
	return newkeys_check(keys);
}

static int check_fields(const struct transport_state *state,
			const uint8_t *session_id, size_t session_id_len)
{
	int err;

	err = check_keys(&state->tx);
	if (!err)
		err = check_keys(&state->rx);
	if (err)
		return err;
	if (state->tx_packets >= KSSH_REKEY_PACKETS_HARD ||
	    state->rx_packets >= KSSH_REKEY_PACKETS_HARD)
		return -EINVAL;
	if (!session_id_len || state->session_id_len != session_id_len ||
	    memcmp(state->session_id, session_id, session_id_len))
		return -EINVAL;
	if (strcmp(state->server_version, banner_server_version))
		return -EINVAL;
	if (banner_check(state->client_version, strlen(state->client_version)))
		return -EINVAL;
	return 0;
}

int mon_get_state(struct buf *body, struct transport_state *state,
		  const uint8_t *session_id, size_t session_id_len)
{
	int err;

	memset(state, 0, sizeof(*state));
	err = get_fields(body, state);
	if (!err)
		err = check_fields(state, session_id, session_id_len);
	if (err)
		mem_wipe(state, sizeof(*state));
	return err;
}
