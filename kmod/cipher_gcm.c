// SPDX-License-Identifier: GPL-2.0-only
/* AES-GCM for SSH: RFC 5647, as aes*-gcm@openssh.com names it. */
#include <crypto/aead.h>
#include <linux/kmod.h>
#include <linux/slab.h>

#include "kssh.h"

/* RFC 5647 7.3: the length field is the associated data */
#define GCM_AAD_LEN	4
#define GCM_TAG_LEN	16
#define GCM_IV_LEN	12

/**
 * struct gcm - keys of a direction
 * @tfm: the transform, which holds the key
 * @wait: where an asynchronous driver is waited for
 * @iv: of the next packet
 * @req: reused for every packet
 */
struct gcm {
	struct crypto_aead *tfm;
	struct crypto_wait wait;
	u8 iv[GCM_IV_LEN];
	struct aead_request *req;
};

/*
 * The wide AES code is in a module that nothing may have asked for; without it
 * a generic driver takes the name.
 */
static struct crypto_aead *gcm_alloc_tfm(void)
{
	struct crypto_aead *tfm = crypto_alloc_aead("gcm(aes)", 0, 0);
	const char *name;

	if (IS_ERR(tfm))
		return tfm;
	name = crypto_tfm_alg_driver_name(crypto_aead_tfm(tfm));
	if (!strstr(name, "generic") && !strstr(name, "-lib"))
		return tfm;
	/* the vector drivers have generic- in front of their name, too */
	if (strstr(name, "aesni") || strstr(name, "avx"))
		return tfm;

	crypto_free_aead(tfm);
	request_module("crypto-aes");
	return crypto_alloc_aead("gcm(aes)", 0, 0);
}

static void gcm_free(struct gcm *gcm)
{
	if (gcm->req)
		aead_request_free(gcm->req);
	if (!IS_ERR_OR_NULL(gcm->tfm))
		crypto_free_aead(gcm->tfm);
	kfree_sensitive(gcm);
}

static int gcm_setup(struct kssh_cipher *cipher,
		     const struct kssh_crypto_info *info)
{
	struct gcm *gcm;
	int err;

	gcm = kzalloc(sizeof(*gcm), GFP_KERNEL);
	if (!gcm)
		return -ENOMEM;

	gcm->tfm = gcm_alloc_tfm();
	err = PTR_ERR_OR_ZERO(gcm->tfm);
	if (err)
		goto err_free;
	err = crypto_aead_setkey(gcm->tfm, info->key, info->key_len);
	if (err)
		goto err_free;
	err = crypto_aead_setauthsize(gcm->tfm, GCM_TAG_LEN);
	if (err)
		goto err_free;

	err = -ENOMEM;
	gcm->req = aead_request_alloc(gcm->tfm, GFP_KERNEL);
	if (!gcm->req)
		goto err_free;

	crypto_init_wait(&gcm->wait);
	aead_request_set_callback(gcm->req, CRYPTO_TFM_REQ_MAY_BACKLOG |
				  CRYPTO_TFM_REQ_MAY_SLEEP, crypto_req_done,
				  &gcm->wait);
	aead_request_set_ad(gcm->req, GCM_AAD_LEN);
	memcpy(gcm->iv, info->iv, GCM_IV_LEN);
	cipher->priv = gcm;
	return 0;

err_free:
	gcm_free(gcm);
	return err;
}

static void gcm_destroy(struct kssh_cipher *cipher)
{
	gcm_free(cipher->priv);
}

/*
 * RFC 5647 7.1: "the invocation counter is incremented after each invocation
 * of AES-GCM"; it is the last eight bytes, treated as a 64-bit integer.
 */
static void gcm_next_iv(struct gcm *gcm)
{
	kssh_put_be64(gcm->iv + 4, kssh_get_be64(gcm->iv + 4) + 1);
}

static int gcm_seal(struct kssh_cipher *cipher, u32 pkt_seq,
		    struct scatterlist *from, struct scatterlist *to,
		    u32 pkt_len)
{
	struct gcm *gcm = cipher->priv;
	int err;

	aead_request_set_crypt(gcm->req, from, to, pkt_len, gcm->iv);
	err = crypto_wait_req(crypto_aead_encrypt(gcm->req), &gcm->wait);
	gcm_next_iv(gcm);
	return err;
}

static u32 gcm_open_len(struct kssh_cipher *cipher, u32 pkt_seq,
			const u8 *hdr)
{
	return kssh_get_be32(hdr);
}

static int gcm_open(struct kssh_cipher *cipher, u32 pkt_seq,
		    struct scatterlist *sg, u32 pkt_len)
{
	struct gcm *gcm = cipher->priv;
	int err;

	aead_request_set_crypt(gcm->req, sg, sg, pkt_len + GCM_TAG_LEN,
			       gcm->iv);
	err = crypto_wait_req(crypto_aead_decrypt(gcm->req), &gcm->wait);
	gcm_next_iv(gcm);
	return err;
}

static const char *gcm_driver(const struct kssh_cipher *cipher)
{
	const struct gcm *gcm = cipher->priv;

	return crypto_tfm_alg_driver_name(crypto_aead_tfm(gcm->tfm));
}

const struct kssh_cipher_ops kssh_gcm_ops = {
	.setup		= gcm_setup,
	.destroy	= gcm_destroy,
	.seal		= gcm_seal,
	.open_len	= gcm_open_len,
	.open		= gcm_open,
	.driver		= gcm_driver,
};
