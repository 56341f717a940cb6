/* SPDX-License-Identifier: BSD-3-Clause */
/* Families: their regions, the user's account they live on, and the robust futex by which the kernel itself tells a program
 * that the daemon died (set_robust_list(2), futex(2): FUTEX_OWNER_DIED). */
#include "ipc/server_private.h"

#include <linux/futex.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ipc/raw.h"

#define DATA_AREA (UINT64_C(64) << 30)

/* The list that the kernel walks when this thread dies: one entry a family, in the daemon's private page before the family's shared
 * area, so that all futexes lie at the same distance from their entries. At most 2,048 are walked (ROBUST_LIST_LIMIT). */
struct alive_entry {
	struct robust_list list;
	struct alive_entry *previous;
};

static __thread struct robust_list_head alive_head;
static __thread struct robust_list_head *libc_head;
static __thread unsigned alive_n;

static struct alive_entry *alive_entry(const struct family *f)
{
	return (struct alive_entry *)(void *)(f->region.shared - REGION_PAGE);
}

static void alive_begin(struct family *f)
{
	struct alive_entry *entry = alive_entry(f), *first;
	size_t size;

	if (alive_n++ == 0) {
		raw_call3(SYS_get_robust_list, 0, (long)&libc_head, (long)&size);
		alive_head = (struct robust_list_head){
			.list = { &alive_head.list },
			.futex_offset = (long)(REGION_PAGE + offsetof(struct family_page, alive)),
		};
		raw_call2(SYS_set_robust_list, (long)&alive_head, sizeof(alive_head));
	}
	atomic_store(&region_family(&f->region)->alive, (uint32_t)raw_call2(SYS_gettid, 0, 0) | FUTEX_WAITERS);
	entry->list.next = alive_head.list.next;
	entry->previous = NULL;
	if (entry->list.next != &alive_head.list) {
		first = (struct alive_entry *)(void *)entry->list.next;
		first->previous = entry;
	}
	alive_head.list.next = &entry->list;
}

static void alive_end(struct family *f)
{
	struct alive_entry *entry = alive_entry(f);

	if (entry->previous)
		entry->previous->list.next = entry->list.next;
	else
		alive_head.list.next = entry->list.next;
	if (entry->list.next != &alive_head.list)
		((struct alive_entry *)(void *)entry->list.next)->previous = entry->previous;
	if (--alive_n == 0)
		raw_call2(SYS_set_robust_list, (long)libc_head, sizeof(alive_head));
}

/* ---- users ---- */

static struct user *user_get_or_null(struct server *s, uid_t uid)
{
	struct user *u;

	LIST_FOREACH(u, &s->users, node)
		if (u->uid == uid)
			return u;
	u = calloc(1, sizeof(*u));
	if (u) {
		u->uid = uid;
		LIST_INSERT_HEAD(&s->users, u, node);
	}
	return u;
}

static void user_put(struct user *u)
{
	if (u->families)
		return;
	LIST_REMOVE(u, node);
	free(u);
}

/* ---- families ---- */

static uint32_t number_or_nobody(const struct server *s)
{
	uint32_t i;

	for (i = 0; i < s->config.quota.families; i++)
		if (!s->numbers[i])
			return i;
	return NOBODY;
}

static int make_region(struct family *f)
{
	const struct server_quota *quota = &f->server->config.quota;
	int rc = region_create(&f->region, &f->fds, quota->lines, DATA_AREA, quota->lanes, quota->waitsets);

	if (rc)
		return rc;
	f->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	/* Pages of this come as lines are used. */
	f->lines = mmap(NULL, quota->lines * sizeof(*f->lines), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (f->bell >= 0 && f->lines != MAP_FAILED)
		return 0;
	rc = -errno;
	if (f->bell >= 0)
		close(f->bell);
	region_unmap(&f->region);
	close(f->fds.constants);
	close(f->fds.shared);
	close(f->fds.data);
	return rc;
}

int family_new(struct server *s, struct server_host *host, uid_t uid, struct family **out)
{
	uint32_t number = number_or_nobody(s);
	struct user *user = user_get_or_null(s, uid);
	struct family *f;
	int rc = -ENOMEM;

	if (!user)
		return rc;
	f = calloc(1, sizeof(*f));
	if (number == NOBODY || (uid != 0 && user->families >= s->config.quota.families_per_uid))
		rc = -EUSERS;
	else if (f) {
		*f = (struct family){ .server = s, .host = host, .user = user, .number = number, .lines_free = LINE_NIL };
		rc = make_region(f);
	}
	if (rc) {
		free(f);
		user_put(user);
		return rc;
	}
	f->extents.base = f->region.data;
	f->extents.size = f->region.data_size;
	user->families++;
	s->numbers[number] = f;
	s->stats.families++;
	LIST_INSERT_HEAD(&s->families, f, node);
	alive_begin(f);
	family_tell_host(f);
	*out = f;
	return 0;
}

void family_end(struct family *f)
{
	_Atomic uint32_t *alive = &region_family(&f->region)->alive;

	atomic_store(alive, FUTEX_OWNER_DIED);
	doorbell_wake(alive);
}

void family_free(struct family *f)
{
	struct server *s = f->server;

	alive_end(f);
	s->numbers[f->number] = NULL;
	s->stats.families--;
	LIST_REMOVE(f, node);
	f->user->families--;
	f->user->lines -= f->lines_n;
	f->user->data -= f->extents.lent;
	s->stats.lines -= f->lines_n;
	user_put(f->user);
	extents_free(&f->extents);
	munmap(f->lines, s->config.quota.lines * sizeof(*f->lines));
	region_unmap(&f->region);
	close(f->bell);
	close(f->fds.constants);
	close(f->fds.shared);
	close(f->fds.data);
	free(f);
}

void family_settle(struct family *f)
{
	if (f->sessions_n == 0 && f->lines_n == 0)
		family_free(f);
}

struct family *family_of(struct server *s, uint64_t owner)
{
	uint64_t number = owner >> 32;

	return number == 0 || number > s->config.quota.families ? NULL : s->numbers[number - 1];
}

/* generation is odd while it is written (a reader that sees it odd, or changed, reads again). */
void family_tell_host(struct family *f)
{
	struct host_info *to = (struct host_info *)(void *)(f->region.constants + CONSTANTS_HOST * REGION_PAGE);
	const struct host_info *from = &f->host->info;
	uint32_t generation = atomic_load_explicit(&to->generation, memory_order_relaxed) + 1;

	atomic_store_explicit(&to->generation, generation, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	to->cores = from->cores;
	to->addresses = from->addresses;
	to->routes = from->routes;
	memcpy(to->address, from->address, sizeof(to->address));
	memcpy(to->route, from->route, sizeof(to->route));
	memcpy(to->name, from->name, sizeof(to->name));
	to->daemon_cores = from->daemon_cores;
	atomic_store_explicit(&to->generation, generation + 1, memory_order_release);
}
