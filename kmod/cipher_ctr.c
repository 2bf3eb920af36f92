// SPDX-License-Identifier: GPL-2.0-only
/*
 * aes*-ctr of RFC 4344 with hmac-sha2-* of RFC 6668: the MAC over the plain
 * packet (RFC 4253 6.4), or, -etm@openssh.com, over the encrypted one with its
 * length in clear.
 */
#include <crypto/hash.h>
#include <crypto/scatterwalk.h>
#include <crypto/skcipher.h>
#include <crypto/utils.h>
#include <linux/kmod.h>
#include <linux/slab.h>

#include "kssh.h"

#define CTR_BLOCK	16
#define MAC_MAX		64

/**
 * struct ctr - keys of a direction
 * @tfm: the transform, which holds the key
 * @hmac: holds the integrity key
 * @wait: where an asynchronous driver is waited for
 * @etm: MAC over the ciphertext
 * @counter: of the next block to encrypt or decrypt
 * @iv: of the request that runs
 * @len_seq: sequence number of the packet whose length was decrypted last
 * @len_valid: there was one
 * @len: its length
 * @len_counter: counter at its start
 * @block: keystream of that, from the heap because drivers may map it
 * @req: reused for every packet
 */
struct ctr {
	struct crypto_skcipher *tfm;
	struct crypto_shash *hmac;
	struct crypto_wait wait;
	bool etm;
	u8 counter[CTR_BLOCK];
	u8 iv[CTR_BLOCK];
	u32 len_seq;
	bool len_valid;
	u32 len;
	u8 len_counter[CTR_BLOCK];
	u8 block[CTR_BLOCK];
	struct skcipher_request *req;
};

/* As gcm_alloc_tfm(). */
static struct crypto_skcipher *ctr_alloc_tfm(void)
{
	struct crypto_skcipher *tfm = crypto_alloc_skcipher("ctr(aes)", 0, 0);
	const char *name;

	if (IS_ERR(tfm))
		return tfm;
	name = crypto_tfm_alg_driver_name(crypto_skcipher_tfm(tfm));
	if (!strstr(name, "generic") && !strstr(name, "-lib"))
		return tfm;
	crypto_free_skcipher(tfm);
	request_module("crypto-aes");
	return crypto_alloc_skcipher("ctr(aes)", 0, 0);
}

static void ctr_free(struct ctr *ctr)
{
	if (ctr->req)
		skcipher_request_free(ctr->req);
	if (!IS_ERR_OR_NULL(ctr->tfm))
		crypto_free_skcipher(ctr->tfm);
	if (!IS_ERR_OR_NULL(ctr->hmac))
		crypto_free_shash(ctr->hmac);
	kfree_sensitive(ctr);
}

static int ctr_alloc_hmac(struct ctr *ctr, const struct kssh_crypto_info *info)
{
	bool sha512 = info->mac_key_len == 64;

	ctr->hmac = crypto_alloc_shash(sha512 ? "hmac(sha512)" :
						"hmac(sha256)", 0, 0);
	if (IS_ERR(ctr->hmac))
		return PTR_ERR(ctr->hmac);
	return crypto_shash_setkey(ctr->hmac, info->mac_key,
				   info->mac_key_len);
}

static int ctr_setup(struct kssh_cipher *cipher,
		     const struct kssh_crypto_info *info)
{
	struct ctr *ctr;
	int err;

	ctr = kzalloc(sizeof(*ctr), GFP_KERNEL);
	if (!ctr)
		return -ENOMEM;

	ctr->tfm = ctr_alloc_tfm();
	err = PTR_ERR_OR_ZERO(ctr->tfm);
	if (err)
		goto err_free;
	err = crypto_skcipher_setkey(ctr->tfm, info->key, info->key_len);
	if (err)
		goto err_free;
	err = ctr_alloc_hmac(ctr, info);
	if (err)
		goto err_free;

	err = -ENOMEM;
	ctr->req = skcipher_request_alloc(ctr->tfm, GFP_KERNEL);
	if (!ctr->req)
		goto err_free;
	crypto_init_wait(&ctr->wait);
	skcipher_request_set_callback(ctr->req, CRYPTO_TFM_REQ_MAY_BACKLOG |
				      CRYPTO_TFM_REQ_MAY_SLEEP,
				      crypto_req_done, &ctr->wait);
	ctr->etm = cipher->desc->layout.clear_len;
	memcpy(ctr->counter, info->iv, CTR_BLOCK);
	memcpy(ctr->len_counter, info->iv, CTR_BLOCK);
	cipher->priv = ctr;
	return 0;

err_free:
	ctr_free(ctr);
	return err;
}

static void ctr_destroy(struct kssh_cipher *cipher)
{
	ctr_free(cipher->priv);
}

/* Encryption and decryption, which are the same. */
static int ctr_crypt(struct ctr *ctr, struct scatterlist *from,
		     struct scatterlist *to, u32 len, const u8 *counter)
{
	memcpy(ctr->iv, counter, CTR_BLOCK);
	skcipher_request_set_crypt(ctr->req, from, to, len, ctr->iv);
	return crypto_wait_req(crypto_skcipher_encrypt(ctr->req), &ctr->wait);
}

/* RFC 4344 4: the counter is a big-endian integer of the block's size. */
static void ctr_add(u8 *counter, u32 blocks)
{
	u64 low = kssh_get_be64(counter + 8), sum = low + blocks;

	kssh_put_be64(counter + 8, sum);
	if (sum < low)
		kssh_put_be64(counter, kssh_get_be64(counter) + 1);
}

/* RFC 4253 6.4: "mac = MAC(key, sequence_number || unencrypted_packet)" */
static int ctr_mac(struct ctr *ctr, u32 pkt_seq, struct scatterlist *sg,
		   u32 len, u8 *mac)
{
	SHASH_DESC_ON_STACK(desc, ctr->hmac);
	u8 seq[4];
	u32 n;
	int err;

	desc->tfm = ctr->hmac;
	kssh_put_be32(seq, pkt_seq);
	err = crypto_shash_init(desc);
	if (!err)
		err = crypto_shash_update(desc, seq, sizeof(seq));
	for (; !err && len; len -= n, sg = sg_next(sg)) {
		n = min(len, sg->length);
		err = crypto_shash_update(desc, sg_virt(sg), n);
	}
	if (!err)
		err = crypto_shash_final(desc, mac);
	shash_desc_zero(desc);
	return err;
}

/*
 * The encrypted part of a packet; the counter goes on behind it. @from and @to
 * begin with the length field, which the MAC's order says to encrypt or not.
 */
static int ctr_body(struct ctr *ctr, struct scatterlist *from,
		    struct scatterlist *to, u32 pkt_len)
{
	struct scatterlist from_rest[2], to_rest[2];
	u32 len = ctr->etm ? pkt_len : 4 + pkt_len;
	bool in_place = from == to;
	int err;

	if (ctr->etm) {
		to = scatterwalk_ffwd(to_rest, to, 4);
		from = in_place ? to : scatterwalk_ffwd(from_rest, from, 4);
	}
	err = ctr_crypt(ctr, from, to, len, ctr->counter);
	ctr_add(ctr->counter, len / CTR_BLOCK);
	return err;
}

static int ctr_seal(struct kssh_cipher *cipher, u32 pkt_seq,
		    struct scatterlist *from, struct scatterlist *to,
		    u32 pkt_len)
{
	u32 tag_len = cipher->desc->layout.tag_len;
	struct ctr *ctr = cipher->priv;
	u8 mac[MAC_MAX];
	int err = 0;

	if (!ctr->etm)
		err = ctr_mac(ctr, pkt_seq, from, 4 + pkt_len, mac);
	if (!err)
		err = ctr_body(ctr, from, to, pkt_len);
	if (!err && ctr->etm)
		err = ctr_mac(ctr, pkt_seq, to, 4 + pkt_len, mac);
	if (!err)
		sg_pcopy_from_buffer(to, sg_nents(to), mac, tag_len,
				     4 + pkt_len);
	return err;
}

/*
 * The framer runs ahead of the cipher: it has a counter of its own. It may ask
 * for the length of a packet again.
 */
static u32 ctr_open_len(struct kssh_cipher *cipher, u32 pkt_seq,
			const u8 *hdr)
{
	struct ctr *ctr = cipher->priv;
	struct scatterlist sg;
	u8 len[4];
	int i;

	if (ctr->etm)
		return kssh_get_be32(hdr);
	if (ctr->len_valid && ctr->len_seq == pkt_seq)
		return ctr->len;
	if (ctr->len_valid)
		ctr_add(ctr->len_counter, (4 + ctr->len) / CTR_BLOCK);

	memset(ctr->block, 0, sizeof(ctr->block));
	sg_init_one(&sg, ctr->block, sizeof(ctr->block));
	/* a length of 0 is refused */
	if (ctr_crypt(ctr, &sg, &sg, sizeof(ctr->block), ctr->len_counter))
		return 0;
	for (i = 0; i < sizeof(len); i++)
		len[i] = hdr[i] ^ ctr->block[i];
	ctr->len_seq = pkt_seq;
	ctr->len_valid = true;
	ctr->len = kssh_get_be32(len);
	return ctr->len;
}

static int ctr_open(struct kssh_cipher *cipher, u32 pkt_seq,
		    struct scatterlist *sg, u32 pkt_len)
{
	u32 tag_len = cipher->desc->layout.tag_len;
	struct ctr *ctr = cipher->priv;
	u8 mac[MAC_MAX], want[MAC_MAX];
	int err = 0;

	if (ctr->etm)
		err = ctr_mac(ctr, pkt_seq, sg, 4 + pkt_len, want);
	if (!err)
		err = ctr_body(ctr, sg, sg, pkt_len);
	if (!err && !ctr->etm)
		err = ctr_mac(ctr, pkt_seq, sg, 4 + pkt_len, want);
	if (err)
		return err;
	sg_pcopy_to_buffer(sg, sg_nents(sg), mac, tag_len, 4 + pkt_len);
	return crypto_memneq(mac, want, tag_len) ? -EBADMSG : 0;
}

static const char *ctr_driver(const struct kssh_cipher *cipher)
{
	const struct ctr *ctr = cipher->priv;

	return crypto_tfm_alg_driver_name(crypto_skcipher_tfm(ctr->tfm));
}

const struct kssh_cipher_ops kssh_ctr_ops = {
	.setup		= ctr_setup,
	.destroy	= ctr_destroy,
	.seal		= ctr_seal,
	.open_len	= ctr_open_len,
	.open		= ctr_open,
	.driver		= ctr_driver,
};
