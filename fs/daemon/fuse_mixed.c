/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuse_mixed.c - what needs the kernel's caches to be told; see fuse_mixed.h. */
#include "fuse_mixed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuse_ops.h"
#include "server.h"

struct mixed_job {
	struct mixed_job *next;
	fuse_req_t req;
	struct handle *h; /* a reference; NULL: to seal the filesystem */
	off_t off;
	size_t size; /* of data */
	size_t written;
	bool done;
	char data[];
};

static bool is_closing(struct mixed *m)
{
	bool closing;

	pthread_mutex_lock(&m->lock);
	closing = m->closing;
	pthread_mutex_unlock(&m->lock);
	return closing;
}

/* Drops pages and attributes. An error means that there is nothing to drop. */
static void tell(struct mixed *m, const struct mixed_job *job, size_t len)
{
	if (len && !is_closing(m))
		fuse_lowlevel_notify_inval_inode(m->sv->se, job->h->inode->ino, job->off,
						 (off_t)len);
}

/*
 * What programs have stored through mappings has to be in the filesystem before it
 * is sealed. To drop the pages of a file writes back what is in them, and waits.
 */
static int seal(struct mixed *m)
{
	ka_ino_t *ino = NULL;
	size_t count, i;
	int err = cache_list(&m->sv->cache, &ino, &count);

	for (i = 0; !err && i < count && !is_closing(m); i++)
		fuse_lowlevel_notify_inval_inode(m->sv->se, ino[i], 0, 0);
	free(ino);
	return err ?: ka_fs_seal(m->sv->fs);
}

static int write_job(struct mixed *m, struct mixed_job *job)
{
	struct open_inode *inode = job->h->inode;
	bool kill = false;

	tell(m, job, job->size);
	if (atomic_load(&inode->privileged)) {
		kill = !has_fsetid(job->req);
		ka_removexattr(m->sv->fs, inode->ino, XATTR_CAPABILITY);
	}
	return ka_write(m->sv->fs, job->h->file, job->data, job->size, (uint64_t)job->off, kill,
			&job->written);
}

static void run_job(struct mixed *m, struct mixed_job *job)
{
	int err;

	if (!job->h) {
		reply_ioctl(job->req, seal(m));
		return;
	}
	err = job->done ? 0 : write_job(m, job);
	if (err) {
		reply_code(job->req, err);
	} else {
		tell(m, job, job->written);
		fuse_reply_write(job->req, job->written);
	}
	put_handle(m->sv, job->h);
	keeper_poke(&m->sv->keeper);
}

static void *run(void *arg)
{
	struct mixed *m = arg;
	struct mixed_job *job;

	pthread_mutex_lock(&m->lock);
	while (m->first || !m->stop) {
		job = m->first;
		if (!job) {
			pthread_cond_wait(&m->more, &m->lock);
			continue;
		}
		m->first = job->next;
		if (!m->first)
			m->last = &m->first;
		pthread_mutex_unlock(&m->lock);
		run_job(m, job);
		free(job);
		pthread_mutex_lock(&m->lock);
		m->jobs_done++;
		pthread_cond_broadcast(&m->done);
	}
	pthread_mutex_unlock(&m->lock);
	return NULL;
}

int mixed_start(struct mixed *m, struct server *sv)
{
	int err;

	m->sv = sv;
	m->last = &m->first;
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->more, NULL);
	pthread_cond_init(&m->done, NULL);
	err = pthread_create(&m->thread, NULL, run, m);
	m->started = !err;
	return -err;
}

static void queue(struct mixed *m, struct mixed_job *job)
{
	pthread_mutex_lock(&m->lock);
	*m->last = job;
	m->last = &job->next;
	m->jobs_queued++;
	pthread_cond_signal(&m->more);
	pthread_mutex_unlock(&m->lock);
}

static struct mixed_job *new_job(struct mixed *m, fuse_req_t req, struct handle *h, size_t size,
				 off_t off)
{
	struct mixed_job *job = malloc(sizeof(*job) + size);

	if (!job) {
		reply_code(req, -ENOMEM);
		if (h)
			put_handle(m->sv, h);
		return NULL;
	}
	*job = (struct mixed_job){.req = req, .h = h, .off = off, .size = size};
	return job;
}

void mixed_write(struct mixed *m, fuse_req_t req, struct handle *h, const char *buf, size_t size,
		 off_t off)
{
	struct mixed_job *job = new_job(m, req, h, size, off);

	if (!job)
		return;
	memcpy(job->data, buf, size);
	queue(m, job);
}

void mixed_written(struct mixed *m, fuse_req_t req, struct handle *h, size_t written, off_t off)
{
	struct mixed_job *job = new_job(m, req, h, 0, off);

	if (!job)
		return;
	job->written = written;
	job->done = true;
	queue(m, job);
}

void mixed_seal(struct mixed *m, fuse_req_t req)
{
	struct mixed_job *job = new_job(m, req, NULL, 0, 0);

	if (job)
		queue(m, job);
}

void mixed_quiesce(struct mixed *m)
{
	uint64_t last;

	pthread_mutex_lock(&m->lock);
	m->closing = true;
	last = m->jobs_queued;
	while (m->jobs_done < last)
		pthread_cond_wait(&m->done, &m->lock);
	pthread_mutex_unlock(&m->lock);
}

void mixed_stop(struct mixed *m)
{
	if (!m->started)
		return;
	pthread_mutex_lock(&m->lock);
	m->closing = true;
	m->stop = true;
	pthread_cond_signal(&m->more);
	pthread_mutex_unlock(&m->lock);
	pthread_join(m->thread, NULL);
	m->started = false;
}
