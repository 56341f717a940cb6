/* SPDX-License-Identifier: BSD-3-Clause */
/* Makes and maps the shared memory of a family (region.h). System calls go by syscall(2)'s own instruction: the preload library
 * that this is linked into interposes mmap's neighbours, and must not meet itself. */
#include "ipc/region.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "ipc/lane.h"
#include "ipc/raw.h"

/* A page of the daemon's own lies before the shared area; programs leave it unmapped. */
#define REGION_GUARD REGION_PAGE

static uint64_t lines_at(uint32_t cores)
{
	return REGION_PAGE + cores * REGION_CORE_BYTES;
}

static uint64_t shared_bytes(uint32_t lines, uint32_t cores)
{
	uint64_t n = lines_at(cores) + (((uint64_t)(cores - 1) << LINE_CORE_SHIFT) + lines) * sizeof(struct sock_line);

	return (n + REGION_PAGE - 1) & ~(uint64_t)(REGION_PAGE - 1);
}

static int make_memfd(const char *name, uint64_t size)
{
	int fd = (int)raw_call2(SYS_memfd_create, (long)name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	long rc;

	if (fd < 0)
		return fd;
	rc = raw_call2(SYS_ftruncate, fd, (long)size);
	if (rc < 0) {
		raw_close(fd);
		return (int)rc;
	}
	return fd;
}

static int seal(int fd, unsigned seals)
{
	return (int)raw_call3(SYS_fcntl, fd, F_ADD_SEALS, seals | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
}

static uint8_t *map_or_null(void *at, uint64_t size, int protection, int flags, int fd)
{
	long p = raw_call6(SYS_mmap, (long)at, (long)size, protection, flags, fd, 0);

	return p < 0 && p > -4096 ? NULL : (uint8_t *)p;
}

/* Address space first, so that the shared area can have a page of its own before it. */
static int map_all(struct region *r, const struct region_fds *fds, int constants_protection)
{
	const int flags = MAP_SHARED | MAP_NORESERVE;
	uint8_t *space;

	r->constants = map_or_null(NULL, CONSTANTS_PAGES * REGION_PAGE, constants_protection, MAP_SHARED, fds->constants);
	r->data = map_or_null(NULL, r->data_size, PROT_READ | PROT_WRITE, flags, fds->data);
	space = map_or_null(NULL, REGION_GUARD + r->shared_size, r->daemon ? PROT_READ | PROT_WRITE : PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	if (space) {
		r->shared = map_or_null(space + REGION_GUARD, r->shared_size, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fds->shared);
		if (!r->shared)
			raw_call2(SYS_munmap, (long)space, (long)(REGION_GUARD + r->shared_size));
	}
	if (r->constants && r->data && r->shared) {
		raw_call3(SYS_madvise, (long)r->shared, (long)r->shared_size, MADV_DONTDUMP);
		raw_call3(SYS_madvise, (long)r->data, (long)r->data_size, MADV_DONTDUMP);
		return 0;
	}
	region_unmap(r);
	return -ENOMEM;
}

static void write_constants(const struct region *r, const struct region_sizes *sizes)
{
	struct region_constants *c = region_constants(r);

	c->magic = REGION_MAGIC;
	c->version = REGION_VERSION;
	c->lines = r->lines;
	c->data_pages = (uint32_t)(r->data_size / REGION_PAGE);
	c->lanes = sizes->lanes;
	c->waitsets = sizes->waitsets;
	c->cores = r->cores;
	lane_write_constants(r->constants + CONSTANTS_REQUESTS * REGION_PAGE, "requests", REQUEST_SLOTS);
	lane_write_constants(r->constants + CONSTANTS_REPLIES * REGION_PAGE, "replies", REPLY_SLOTS);
	lane_write_constants(r->constants + CONSTANTS_EVENTS * REGION_PAGE, "events", EVENT_SLOTS);
}

/* A second mapping of a page that is mapped already, made without a descriptor: mremap with an old size of 0. */
static int map_constants_at(const struct region *r, unsigned page, uint64_t at)
{
	const uint8_t *from = r->constants + (uint64_t)page * REGION_PAGE;
	uint8_t *to = r->shared + at;
	long p = raw_call6(SYS_mremap, (long)from, 0, REGION_PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, (long)to, 0);

	if (p < 0 && p > -4096)
		return (int)p;
	/* The daemon's own copy is read-only too: a stray store of ours shall not pass silently. */
	return (int)raw_call3(SYS_mprotect, (long)to, REGION_PAGE, PROT_READ);
}

static long file_size(int fd)
{
	return raw_call3(SYS_lseek, fd, 0, 2 /* SEEK_END */);
}

int region_create(struct region *r, struct region_fds *fds, const struct region_sizes *sizes)
{
	int rc;

	*r = (struct region){
		.shared_size = shared_bytes(sizes->lines, sizes->cores), .data_size = sizes->data, .lines = sizes->lines,
		.cores = sizes->cores, .daemon = true,
	};
	fds->constants = make_memfd("light-constants", CONSTANTS_PAGES * REGION_PAGE);
	fds->shared = make_memfd("light-shared", r->shared_size);
	fds->data = make_memfd("light-data", r->data_size);
	rc = fds->constants < 0 ? fds->constants : fds->shared < 0 ? fds->shared : fds->data < 0 ? fds->data : 0;
	if (rc == 0)
		rc = map_all(r, fds, PROT_READ | PROT_WRITE);
	if (rc == 0) {
		r->line_base = r->shared + lines_at(r->cores);
		write_constants(r, sizes);
		/* Our writable mapping of the constants stays; nobody can make another (memfd_create(2)). */
		rc = seal(fds->constants, F_SEAL_FUTURE_WRITE);
		rc = rc ? rc : seal(fds->shared, 0);
		rc = rc ? rc : seal(fds->data, 0);
		if (rc)
			region_unmap(r);
	}
	if (rc) {
		raw_close(fds->constants);
		raw_close(fds->shared);
		raw_close(fds->data);
	}
	return rc;
}

int region_attach(struct region *r, const struct region_fds *fds)
{
	const struct region_constants *c;
	long shared = file_size(fds->shared), data = file_size(fds->data);
	int rc;

	if (file_size(fds->constants) != CONSTANTS_PAGES * REGION_PAGE || shared <= 0 || data <= 0)
		return -EPROTO;
	*r = (struct region){ .shared_size = (uint64_t)shared, .data_size = (uint64_t)data };
	rc = map_all(r, fds, PROT_READ);
	if (rc)
		return rc;
	c = region_constants(r);
	r->lines = c->lines;
	r->cores = c->cores;
	if (c->magic != REGION_MAGIC || c->version != REGION_VERSION || c->cores == 0 || c->cores > REGION_CORES ||
		c->lines > LINE_INDEX + 1 || shared_bytes(c->lines, c->cores) != r->shared_size ||
		(uint64_t)c->data_pages * REGION_PAGE != r->data_size) {
		region_unmap(r);
		return -EPROTO;
	}
	r->line_base = r->shared + lines_at(r->cores);
	return 0;
}

void region_unmap(struct region *r)
{
	if (r->constants)
		raw_call2(SYS_munmap, (long)r->constants, CONSTANTS_PAGES * REGION_PAGE);
	if (r->data)
		raw_call2(SYS_munmap, (long)r->data, (long)r->data_size);
	if (r->shared)
		raw_call2(SYS_munmap, (long)(r->shared - REGION_GUARD), (long)(REGION_GUARD + r->shared_size));
	r->constants = r->data = r->shared = NULL;
}

int region_map_lane(const struct region *r, uint32_t seat, uint32_t lane)
{
	uint64_t at = region_lane_at(seat, lane);
	int rc = map_constants_at(r, CONSTANTS_REQUESTS, at);

	return rc ? rc : map_constants_at(r, CONSTANTS_REPLIES, at + (1 + LANE_REQUEST_PAGES) * REGION_PAGE);
}

int region_map_waitset(const struct region *r, uint32_t seat, uint32_t waitset)
{
	return map_constants_at(r, CONSTANTS_EVENTS, region_waitset_at(seat, waitset));
}
