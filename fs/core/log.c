/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * log.c - appends records to open segments; see log.h.
 *
 * Crash argument of an append. Payload and head are stored and flushed in any
 * order, then one fence. If the machine dies before the fence, any part of
 * them may be missing: the head's checksum covers the head and the checksums
 * of the payload's pieces, so replay takes the record wholly or not at all,
 * and the operation had not returned. After the fence it is there.
 *
 * Crash argument of a segment change. The END record of the old segment is
 * durable (fenced) before the header of the new one is stored, so of the
 * segments of one position only the newest may lack its end. The new header is
 * durable before the first record is stored, so a record behind a header that
 * is not whole means damage.
 *
 * Where the memory turns out to be broken: a record that could not be stored is
 * covered by an END in its place, so that it cannot come back, and the position
 * goes on in another segment. If that END cannot be stored either, recovery would
 * take the segment for damaged: hence a checkpoint is asked for, after which it
 * is not looked at.
 */
#include "keepalive/log.h"

#include <assert.h>
#include <sched.h>
#include <string.h>

#include "keepalive/csum.h"
#include "keepalive/err.h"
#include "keepalive/record.h"
#include "keepalive/util.h"

/*
 * Bytes under one checksum. Small enough that the copy which follows finds
 * them in the first-level cache, and that a 4 KiB read verifies little more.
 */
#define PIECE_BYTES 16384u

/* One writer position for each that a region of this size can afford. */
static uint32_t affordable_writers(const struct ka_segs *segs)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t most = ka_min(KA_WRITERS_MAX, ka_max(1, segs->count / 32));

	return (uint32_t)ka_min(most, cpus > 0 ? (uint64_t)cpus : 1);
}

void ka_log_init(struct ka_log *log, struct ka_region *rg, struct ka_segs *segs, uint64_t log_id)
{
	uint32_t i;

	*log = (struct ka_log){
		.rg = rg,
		.segs = segs,
		.log_id = log_id,
		.piece_bytes = PIECE_BYTES,
		.writers = affordable_writers(segs),
	};
	for (i = 0; i < KA_ARRAY_SIZE(log->writer); i++) {
		log->writer[i].id = i;
		pthread_mutex_init(&log->writer[i].lock, NULL);
	}
}

void ka_log_release(struct ka_log *log)
{
	uint32_t i;

	if (!log->writers)
		return;
	for (i = 0; i < KA_ARRAY_SIZE(log->writer); i++)
		pthread_mutex_destroy(&log->writer[i].lock);
	log->writers = 0;
}

void ka_log_resume(struct ka_log *log, uint64_t index)
{
	struct ka_seg *seg = &log->segs->seg[index];
	bool known = seg->writer < log->writers || seg->writer == KA_WRITER_CLEANER;
	struct ka_writer *w = &log->writer[known ? seg->writer : 0];

	if (!known || w->segment) {
		/*
		 * Opened on a machine with more processors: full enough. The number that
		 * this takes keeps it until a checkpoint no longer calls it open.
		 */
		ka_segs_close(log->segs, index, seg->used, atomic_fetch_add(&log->seq, 1) + 1);
		return;
	}
	w->segment = index;
	w->gen = seg->gen;
	w->addr = index * log->segs->bytes + seg->used;
	w->end = (index + 1) * log->segs->bytes;
	w->last_seq = seg->last_seq;
}

void ka_log_store_header(struct ka_log *log, uint64_t index, enum ka_segment_kind kind,
			 uint64_t gen, uint64_t open_seq, const struct ka_writer *writer)
{
	struct ka_segment_disk d = {
		.magic = ka_put32(KA_SEGMENT_MAGIC),
		.kind = ka_put32(kind),
		.log_id = ka_put64(log->log_id),
		.gen = ka_put64(gen),
		.index = ka_put64(index),
		.open_seq = ka_put64(open_seq),
		.writer = ka_put32(writer ? writer->id : 0),
		.prev_gen = ka_put64(writer ? writer->gen : 0),
	};
	uint64_t addr = index * log->segs->bytes;

	d.csum = ka_put64(ka_csum((char *)&d + sizeof(d.csum), sizeof(d) - sizeof(d.csum)));
	ka_region_write(log->rg, addr, &d, sizeof(d));
	ka_region_flush(log->rg, addr, sizeof(d));
}

/*
 * Stores the payload of head at at, flushed, and fills in its checksums. Each
 * piece is summed just before it is copied, while it is in cache.
 */
static uint64_t store_payload(struct ka_log *log, uint64_t at, struct ka_payload_disk *pl,
			      const uint8_t *src)
{
	struct ka_le64 *csum = (struct ka_le64 *)(pl + 1);
	uint32_t i, len, pieces = ka_payload_pieces(pl);

	/* Before the copies: an atomic store after them would wait for them to drain. */
	for (i = 0; i < pieces; i++)
		ka_segs_set_verified(log->segs, at + (uint64_t)i * ka_get32(pl->piece_bytes));
	for (i = 0; i < pieces; i++) {
		len = ka_payload_piece_len(pl, i);
		csum[i] = ka_put64(ka_csum(src, len));
		ka_region_copy(log->rg, at, src, len);
		src += len;
		at += len;
	}
	return at;
}

void ka_log_store(struct ka_log *log, uint64_t addr, struct ka_rec_disk *head, const void *payload)
{
	static const uint8_t zeros[KA_RECORD_ALIGN];
	struct ka_payload_disk *pl = (struct ka_payload_disk *)ka_record_payload(head);
	uint32_t head_bytes = ka_get32(head->head_bytes), pad;
	uint64_t at;

	if (pl) {
		at = store_payload(log, addr + head_bytes, pl, payload);
		pad = (uint32_t)(addr + ka_get32(head->bytes) - at);
		if (pad) {
			ka_region_write(log->rg, at, zeros, pad);
			ka_region_flush(log->rg, at, pad);
		}
	}
	ka_record_seal(head, addr);
	ka_region_write(log->rg, addr, head, head_bytes);
	ka_region_flush(log->rg, addr, head_bytes);
}

static void stamp(struct ka_log *log, struct ka_writer *w, struct ka_rec_disk *head)
{
	w->last_seq = atomic_fetch_add(&log->seq, 1) + 1;
	head->log_id = ka_put64(log->log_id);
	head->gen = ka_put32((uint32_t)w->gen);
	head->seq = ka_put64(w->last_seq);
}

void ka_log_broken(struct ka_log *log, uint64_t index)
{
	uint64_t i, bytes = log->segs->bytes;

	if (!ka_segs_set_bad(log->segs, index))
		return;
	/* The reserve may have gone with it: that has to be known before it is used up. */
	for (i = 1; i < log->segs->count; i++)
		if (!ka_region_exists(log->rg, i * bytes, bytes))
			ka_segs_set_bad(log->segs, i);
}

static void close_segment(struct ka_log *log, struct ka_writer *w)
{
	uint64_t left = w->end - w->addr;
	struct ka_rec_disk end = {0};

	if (!w->segment)
		return;
	if (left >= sizeof(end)) {
		ka_record_init(&end, KA_REC_END, 0, sizeof(end), left - sizeof(end), 0);
		stamp(log, w, &end);
		ka_log_store(log, w->addr, &end, NULL);
		if (ka_region_fence(log->rg)) { /* before the next segment begins */
			ka_log_broken(log, w->segment);
			atomic_store(&log->wants_ckpt, true);
		}
	}
	ka_segs_close(log->segs, w->segment, log->segs->bytes, w->last_seq);
	w->segment = 0;
	w->addr = w->end = 0;
}

/* Gives the segment back; with a memory error it is the last we see of it. */
static void reject_segment(struct ka_log *log, uint64_t index, int err)
{
	if (err != -ENOSPC)
		ka_log_broken(log, index);
	ka_segs_free(log->segs, index);
}

int ka_log_take_segment(struct ka_log *log, enum ka_space_class cls, enum ka_seg_state state,
			uint64_t *ret_index, uint64_t *ret_gen)
{
	uint64_t gen = atomic_fetch_add(&log->gen, 1), index;
	int err;

	do {
		err = ka_segs_alloc(log->segs, cls, state, gen, &index);
		if (err)
			return err;
		if (!log->segs->seg[index].prepared)
			err = ka_region_prepare(log->rg, index * log->segs->bytes,
						log->segs->bytes);
		if (err)
			reject_segment(log, index, err);
	} while (err && err != -ENOSPC);
	if (err)
		return err;
	log->segs->seg[index].prepared = true;
	*ret_index = index;
	*ret_gen = gen;
	return 0;
}

static int open_segment(struct ka_log *log, struct ka_writer *w, enum ka_space_class cls)
{
	uint64_t gen, index;
	int err;

	do {
		err = ka_log_take_segment(log, cls, KA_SEG_OPEN, &index, &gen);
		if (err)
			return err;
		close_segment(log, w);
		ka_log_store_header(log, index, KA_SEGMENT_LOG, gen, atomic_load(&log->seq), w);
		err = ka_region_fence(log->rg); /* before its first record */
		if (err)
			reject_segment(log, index, err);
	} while (err);
	log->segs->seg[index].writer = w->id;
	w->segment = index;
	w->gen = gen;
	w->addr = index * log->segs->bytes + sizeof(struct ka_segment_disk);
	w->end = (index + 1) * log->segs->bytes;
	log->segs->seg[index].used = sizeof(struct ka_segment_disk);
	return 0;
}

/* A position nobody is using, or else the one of this processor. */
static struct ka_writer *lock_writer(struct ka_log *log)
{
	int cpu = sched_getcpu();
	uint32_t first = cpu > 0 ? (uint32_t)cpu % log->writers : 0, i;
	struct ka_writer *w;

	for (i = 0; i < log->writers; i++) {
		w = &log->writer[(first + i) % log->writers];
		if (!pthread_mutex_trylock(&w->lock))
			return w;
	}
	w = &log->writer[first];
	pthread_mutex_lock(&w->lock);
	return w;
}

static void fill_slot(struct ka_writer *w, struct ka_slot *ret)
{
	*ret = (struct ka_slot){.writer = w, .addr = w->addr, .room = w->end - w->addr};
}

/* When no segment is to be had, another position may still have room. */
static int borrow_room(struct ka_log *log, size_t bytes, struct ka_slot *ret)
{
	struct ka_writer *w;
	uint32_t i;

	for (i = 0; i < log->writers; i++) {
		w = &log->writer[i];
		pthread_mutex_lock(&w->lock);
		if (w->segment && w->end - w->addr >= bytes) {
			fill_slot(w, ret);
			return 0;
		}
		pthread_mutex_unlock(&w->lock);
	}
	return -ENOSPC;
}

/*
 * A segment of its own: new data in between would spoil it. But what deletes have begun
 * when none is left is better than to be stuck.
 */
static int begin_clean(struct ka_log *log, size_t bytes, struct ka_slot *ret)
{
	struct ka_writer *w = &log->writer[KA_WRITER_CLEANER];
	int err = 0;

	pthread_mutex_lock(&w->lock);
	if (!w->segment || w->end - w->addr < bytes)
		err = open_segment(log, w, KA_SPACE_CLEAN);
	if (!err) {
		fill_slot(w, ret);
		return 0;
	}
	pthread_mutex_unlock(&w->lock);
	return err == -ENOSPC && !borrow_room(log, bytes, ret) ? 0 : err;
}

uint64_t ka_log_room(struct ka_log *log, uint64_t least)
{
	uint64_t bytes = 0, room;
	uint32_t i;

	for (i = 0; i < KA_ARRAY_SIZE(log->writer); i++) {
		struct ka_writer *w = &log->writer[i];

		pthread_mutex_lock(&w->lock);
		room = w->segment ? w->end - w->addr : 0;
		pthread_mutex_unlock(&w->lock);
		bytes += room > least ? room - least : 0;
	}
	return bytes;
}

int ka_log_begin(struct ka_log *log, size_t bytes, enum ka_space_class cls, struct ka_slot *ret)
{
	struct ka_writer *w;
	int err = 0;

	assert(bytes <= log->segs->bytes - sizeof(struct ka_segment_disk));
	if (cls == KA_SPACE_CLEAN)
		return begin_clean(log, bytes, ret);
	w = lock_writer(log);
	if (!w->segment || w->end - w->addr < bytes)
		err = open_segment(log, w, cls);
	if (!err) {
		fill_slot(w, ret);
		return 0;
	}
	pthread_mutex_unlock(&w->lock);
	return borrow_room(log, bytes, ret) ? err : 0;
}

int ka_log_put(struct ka_log *log, struct ka_slot *slot, struct ka_rec_disk *head,
	       const void *payload)
{
	struct ka_writer *w = slot->writer;
	uint32_t bytes = ka_get32(head->bytes);
	int err;

	assert(bytes <= slot->room);
	stamp(log, w, head);
	ka_log_store(log, w->addr, head, payload);
	err = ka_region_fence(log->rg); /* the commit point */
	if (err) {
		ka_log_broken(log, w->segment);
		close_segment(log, w);
		pthread_mutex_unlock(&w->lock);
		return err;
	}
	w->addr += bytes;
	log->segs->seg[w->segment].used += bytes;
	log->segs->seg[w->segment].last_seq = w->last_seq;
	if (w->id != KA_WRITER_CLEANER)
		atomic_store(&log->segs->seg[w->segment].born, w->last_seq);
	atomic_fetch_add(&log->new_bytes, bytes);
	atomic_fetch_add(&log->new_records, 1);
	pthread_mutex_unlock(&w->lock);
	return 0;
}

void ka_log_leave(struct ka_log *log, uint64_t limit)
{
	uint32_t i;

	for (i = 0; i < KA_ARRAY_SIZE(log->writer); i++) {
		struct ka_writer *w = &log->writer[i];

		pthread_mutex_lock(&w->lock);
		if (w->segment >= limit)
			close_segment(log, w);
		pthread_mutex_unlock(&w->lock);
	}
}

void ka_log_cancel(struct ka_slot *slot)
{
	pthread_mutex_unlock(&slot->writer->lock);
}
