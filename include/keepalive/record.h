/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * record.h - one record of the log: making its header, and believing it.
 */
#ifndef KEEPALIVE_RECORD_H
#define KEEPALIVE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keepalive/format.h"

/* What tells the records of one use of one segment from everything else. */
struct ka_rec_ident {
	uint64_t log_id;
	uint32_t gen;
};

/*
 * Fills in the common part of head, which lies in memory, zeroed by the
 * caller where it has reserved bytes. head_bytes need not be aligned: the
 * record ends up padded. The log adds identity, sequence and checksums.
 */
void ka_record_init(struct ka_rec_disk *head, enum ka_record_type type, unsigned flags,
		    size_t head_bytes, size_t payload_bytes, int64_t time_ns);

/* Computes the checksum of a head that is complete and will lie at addr. */
void ka_record_seal(struct ka_rec_disk *head, uint64_t addr);

/*
 * Validates the head of a record at addr of which avail bytes can be looked at:
 * framing, identity, checksum, then the rules of its type. Afterwards every
 * length in it can be trusted. 0 or -KA_ERR_RECORD_*.
 */
int ka_record_validate(const struct ka_rec_disk *rec, uint64_t addr, uint64_t avail,
		       const struct ka_rec_ident *ident);

/* The first part of that, which costs next to nothing: framing and identity. */
int ka_record_check_frame(const struct ka_rec_disk *rec, uint64_t avail,
			  const struct ka_rec_ident *ident);

/* The payload description of a valid record, or NULL where it has none. */
const struct ka_payload_disk *ka_record_payload(const struct ka_rec_disk *rec);

/* Number of pieces, their checksums, and the size of piece i. */
static inline uint32_t ka_payload_pieces(const struct ka_payload_disk *pl)
{
	uint32_t piece = ka_get32(pl->piece_bytes);

	return (ka_get32(pl->bytes) + piece - 1) / piece;
}

static inline const struct ka_le64 *ka_payload_csums(const struct ka_payload_disk *pl)
{
	return (const struct ka_le64 *)(pl + 1);
}

uint32_t ka_payload_piece_len(const struct ka_payload_disk *pl, uint32_t i);

/*
 * Checks every piece of the payload, which lies at data. 0 or
 * -KA_ERR_PAYLOAD_CSUM.
 */
int ka_payload_check(const struct ka_payload_disk *pl, const void *data);

/* Whether this can be the name of a directory entry. */
bool ka_record_name_ok(const void *name, size_t bytes);

/* Whether a mode has a type that an inode can have, and no unknown bits. */
bool ka_record_mode_ok(uint64_t mode);

/* "write", "create", ...; "?" for what is no type. */
const char *ka_record_type_name(unsigned type);

#endif
