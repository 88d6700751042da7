/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nolock.c - stands between the core and its read-write locks: there is one thread
 * only, and it looks at the tree in the middle of an operation that holds them.
 */
#include <pthread.h>

int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *lock);
int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *lock);
int __wrap_pthread_rwlock_unlock(pthread_rwlock_t *lock);

int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
	(void)lock;
	return 0;
}

int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *lock)
{
	(void)lock;
	return 0;
}

int __wrap_pthread_rwlock_unlock(pthread_rwlock_t *lock)
{
	(void)lock;
	return 0;
}
