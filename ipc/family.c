/* SPDX-License-Identifier: BSD-3-Clause */
/* Families: their regions, the user's account they live on, and the robust futex by which the kernel itself tells a program
 * that the daemon died (set_robust_list(2), futex(2): FUTEX_OWNER_DIED). */
#include "ipc/server_private.h"

#include <linux/futex.h>
#include <stdlib.h>
#include <sys/epoll.h>
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

static void close_all(const struct family_common *common)
{
	const int fds[] = { common->fds.constants, common->fds.shared, common->fds.data };
	unsigned i;

	for (i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		close(fds[i]);
	for (i = 0; i < common->region.cores; i++)
		if (common->bells[i] >= 0)
			close(common->bells[i]);
}

static int make_region(const struct server *s, struct family_common *common)
{
	const struct server_quota *quota = &s->config.quota;
	const struct region_sizes sizes = {
		.lines = quota->lines, .data = DATA_AREA, .lanes = quota->lanes, .waitsets = quota->waitsets, .cores = s->cores_n,
	};
	int rc = region_create(&common->region, &common->fds, &sizes);
	unsigned i;

	if (rc)
		return rc;
	for (i = 0; i < s->cores_n; i++) {
		common->bells[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		rc = common->bells[i] < 0 && rc == 0 ? -errno : rc;
	}
	if (rc) {
		region_unmap(&common->region);
		close_all(common);
	}
	return rc;
}

static void common_free(struct family_common *common)
{
	common->user->families--;
	user_put(common->user);
	region_unmap(&common->region);
	close_all(common);
	free(common);
}

static int common_new(struct server *s, struct server_host *host, struct user *user, struct family_common **out)
{
	uint32_t number = number_or_nobody(s);
	struct family_common *common;
	int rc;

	if (number == NOBODY || (user->uid != 0 && user->families >= s->config.quota.families_per_uid))
		return -EUSERS;
	common = calloc(1, sizeof(*common));
	if (!common)
		return -ENOMEM;
	common->user = user;
	common->number = number;
	common->serial = ++s->serial;
	while (server_host_at(s, common->host) != host)
		common->host++;
	rc = make_region(s, common);
	if (rc) {
		free(common);
		return rc;
	}
	user->families++;
	*out = common;
	return 0;
}

/* This core's part of the data area: whole numbers of the largest extent. */
static void share_data(struct family *f)
{
	uint64_t share = f->region.data_size / f->server->cores_n / EXTENT_MAX * EXTENT_MAX;

	f->extents.start = f->server->core * share;
	f->extents.base = f->region.data + f->extents.start;
	f->extents.size = share;
}

int family_join(struct server *s, struct family_common *common, struct family **out)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLET, .data.ptr = (void *)TAG_BELL };
	struct family *f = calloc(1, sizeof(*f));
	int rc = 0;

	if (!f)
		return -ENOMEM;
	*f = (struct family){
		.server = s, .host = server_host_at(s, common->host), .user = common->user, .common = common,
		.number = common->number, .lines_free = LINE_NIL, .region = common->region, .fds = common->fds,
	};
	/* Pages of this come as lines are used. */
	f->lines = mmap(NULL, f->region.lines * sizeof(*f->lines), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (f->lines == MAP_FAILED)
		rc = -ENOMEM;
	else if (!f->host || !f->host->stack)
		rc = -ENXIO;
	else if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, common->bells[s->core], &e) < 0)
		rc = -errno;
	if (rc) {
		if (f->lines != MAP_FAILED)
			munmap(f->lines, f->region.lines * sizeof(*f->lines));
		free(f);
		return rc;
	}
	share_data(f);
	LIST_INIT(&f->shadows);
	atomic_fetch_add(&common->users, 1);
	s->numbers[f->number] = f;
	s->stats.families++;
	LIST_INSERT_HEAD(&s->families, f, node);
	*out = f;
	return 0;
}

int family_new(struct server *s, struct server_host *host, uid_t uid, struct family **out)
{
	struct user *user = user_get_or_null(s, uid);
	struct family_common *common;
	int rc;

	if (!user)
		return -ENOMEM;
	rc = common_new(s, host, user, &common);
	if (rc) {
		user_put(user);
		return rc;
	}
	rc = family_join(s, common, out);
	if (rc) {
		common_free(common);
		return rc;
	}
	alive_begin(*out);
	family_tell_host(*out);
	return 0;
}

void family_end(struct family *f)
{
	_Atomic uint32_t *alive = &region_family(&f->region)->alive;

	atomic_store(alive, FUTEX_OWNER_DIED);
	doorbell_wake(alive);
}

/* Whatever this core still has of it. The shared memory goes with core 0's. */
void family_free(struct family *f)
{
	struct server *s = f->server;
	struct shadow *shadow;
	uint32_t i;

	while ((shadow = LIST_FIRST(&f->shadows))) {
		LIST_REMOVE(shadow, node);
		free(shadow);
	}
	for (i = 0; s->cores_n > 1 && i < f->lines_top; i++)
		options_free(&f->lines[i]);
	epoll_ctl(s->epoll, EPOLL_CTL_DEL, f->common->bells[s->core], NULL);
	s->numbers[f->number] = NULL;
	s->stats.families--;
	LIST_REMOVE(f, node);
	count(s, &f->user->lines, -(int64_t)f->lines_n);
	count(s, &f->user->data, -(int64_t)f->extents.lent);
	s->stats.lines -= f->lines_n;
	extents_free(&f->extents);
	munmap(f->lines, f->region.lines * sizeof(*f->lines));
	if (s->core == 0)
		alive_end(f);
	if (atomic_fetch_sub(&f->common->users, 1) == 1)
		common_free(f->common);
	free(f);
}

void family_settle(struct family *f)
{
	struct core_message m = core_message(f, CORE_FAMILY_END);
	struct server *s = f->server;

	if (f->sessions_n)
		return;
	if (s->core == 0 && !f->leaving) {
		f->leaving = true;
		cores_tell(s, &m);
	}
	if (!f->leaving || f->lines_n || f->elsewhere)
		return;
	family_free(f);
	m.word = CORE_FAMILY_GONE;
	if (s->core)
		cores_send(s, 0, &m);
}

struct family *family_numbered(struct server *s, uint32_t number, uint64_t serial)
{
	struct family *f = number < s->config.quota.families ? s->numbers[number] : NULL;

	return f && f->common->serial == serial ? f : NULL;
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
