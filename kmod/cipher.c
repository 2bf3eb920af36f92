// SPDX-License-Identifier: GPL-2.0-only
/* The ciphers: a row each. */
#include <linux/slab.h>

#include "kssh.h"

/* The MAC's key is as long as the MAC: RFC 6668 2. */
#define CTR(bits, key_bytes, mac_id, mac_bytes, is_etm) {		\
	.cipher		= KSSH_CIPHER_AES_##bits##_CTR,			\
	.mac		= mac_id,					\
	.key_len	= key_bytes,					\
	.iv_len		= 16,						\
	.layout		= { .block = 16, .clear_len = is_etm,		\
			    .tag_len = mac_bytes },			\
	.ops		= &kssh_ctr_ops,				\
}

static const struct kssh_cipher_desc kssh_cipher_table[] = {
	{
		.cipher		= KSSH_CIPHER_AES_128_GCM,
		.mac		= KSSH_MAC_IMPLICIT,
		.key_len	= 16,
		.iv_len		= 12,
		.layout		= { .block = 16, .clear_len = true,
				    .tag_len = 16 },
		.ops		= &kssh_gcm_ops,
	}, {
		.cipher		= KSSH_CIPHER_AES_256_GCM,
		.mac		= KSSH_MAC_IMPLICIT,
		.key_len	= 32,
		.iv_len		= 12,
		.layout		= { .block = 16, .clear_len = true,
				    .tag_len = 16 },
		.ops		= &kssh_gcm_ops,
	}, {
		.cipher		= KSSH_CIPHER_CHACHA20_POLY1305,
		.mac		= KSSH_MAC_IMPLICIT,
		.key_len	= 64,
		/* the length does not count for the padding */
		.layout		= { .block = 8, .clear_len = true,
				    .tag_len = 16 },
		.ops		= &kssh_chacha_ops,
	},
	CTR(128, 16, KSSH_MAC_HMAC_SHA2_256_ETM, 32, true),
	CTR(128, 16, KSSH_MAC_HMAC_SHA2_512_ETM, 64, true),
	CTR(128, 16, KSSH_MAC_HMAC_SHA2_256, 32, false),
	CTR(128, 16, KSSH_MAC_HMAC_SHA2_512, 64, false),
	CTR(192, 24, KSSH_MAC_HMAC_SHA2_256_ETM, 32, true),
	CTR(192, 24, KSSH_MAC_HMAC_SHA2_512_ETM, 64, true),
	CTR(192, 24, KSSH_MAC_HMAC_SHA2_256, 32, false),
	CTR(192, 24, KSSH_MAC_HMAC_SHA2_512, 64, false),
	CTR(256, 32, KSSH_MAC_HMAC_SHA2_256_ETM, 32, true),
	CTR(256, 32, KSSH_MAC_HMAC_SHA2_512_ETM, 64, true),
	CTR(256, 32, KSSH_MAC_HMAC_SHA2_256, 32, false),
	CTR(256, 32, KSSH_MAC_HMAC_SHA2_512, 64, false),
};

static const struct kssh_cipher_desc *find_desc(u16 cipher, u16 mac)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(kssh_cipher_table); i++)
		if (kssh_cipher_table[i].cipher == cipher &&
		    kssh_cipher_table[i].mac == mac)
			return &kssh_cipher_table[i];
	return NULL;
}

struct kssh_cipher *kssh_cipher_alloc(const struct kssh_crypto_info *info)
{
	const struct kssh_cipher_desc *desc;
	struct kssh_cipher *cipher;
	int err;

	desc = find_desc(info->cipher, info->mac);
	if (!desc)
		return ERR_PTR(-ENOENT);
	if (info->key_len != desc->key_len || info->iv_len != desc->iv_len ||
	    info->mac_key_len != (desc->mac ? desc->layout.tag_len : 0))
		return ERR_PTR(-EINVAL);

	cipher = kzalloc(sizeof(*cipher), GFP_KERNEL);
	if (!cipher)
		return ERR_PTR(-ENOMEM);

	cipher->desc = desc;
	err = desc->ops->setup(cipher, info);
	if (err) {
		kfree(cipher);
		return ERR_PTR(err);
	}
	return cipher;
}

void kssh_cipher_free(struct kssh_cipher *cipher)
{
	if (!cipher)
		return;
	cipher->desc->ops->destroy(cipher);
	kfree(cipher);
}

const char *kssh_cipher_driver(const struct kssh_cipher *cipher)
{
	return cipher->desc->ops->driver(cipher);
}

/*
 * Tables in C, where the machine may have instructions for it? Drivers of that
 * kind say "generic"; so do those that only put vector code together.
 */
static bool is_slow(const char *driver)
{
	return strstr(driver, "generic") && !strstr(driver, "aesni") &&
	       !strstr(driver, "avx");
}

/* Keys were installed: count, and say once, what nobody wants to run. */
void kssh_cipher_report(const struct sock *sk, const struct kssh_cipher *cipher)
{
	const char *driver = kssh_cipher_driver(cipher);

	if (!is_slow(driver))
		return;
	KSSH_INC(sk, SLOWCIPHER);
	pr_notice_once("kssh: %s is slow; is the module of this machine's AES instructions loaded?\n",
		       driver);
}
