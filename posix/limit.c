/* SPDX-License-Identifier: BSD-3-Clause */
/* Limits on the address space: the shared region is tens of gigabytes of addresses (not of memory), and none of the program's. What
 * vsftpd allows itself it gets on top of that. */
#include <sys/resource.h>
#include <sys/syscall.h>

#include "posix/preload.h"

#define RESERVED (UINT64_C(96) << 30)

static bool is_ours(int resource, const struct rlimit *limit)
{
	return light_session && limit && (resource == RLIMIT_AS || resource == RLIMIT_DATA);
}

static rlim_t raise_by_reserve(rlim_t limit)
{
	return limit > RLIM_INFINITY - RESERVED ? RLIM_INFINITY : limit + RESERVED;
}

static int set_limit(pid_t process, int resource, const struct rlimit *limit, struct rlimit *old)
{
	struct rlimit more;
	long result;

	if (is_ours(resource, limit) && (process == 0 || process == getpid())) {
		more = (struct rlimit){ raise_by_reserve(limit->rlim_cur), raise_by_reserve(limit->rlim_max) };
		limit = &more;
	}
	result = system_call(SYS_prlimit64, process, resource, (long)limit, (long)old, 0, 0);
	return (int)(result < 0 ? fail_with(result) : result);
}

EXPORT int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
	return set_limit(0, (int)resource, limit, NULL);
}

/* The same structure on a machine of 64 bits. */
EXPORT int setrlimit64(__rlimit_resource_t resource, const struct rlimit64 *limit)
{
	return set_limit(0, (int)resource, (const struct rlimit *)limit, NULL);
}

EXPORT int prlimit(pid_t process, enum __rlimit_resource resource, const struct rlimit *limit, struct rlimit *old)
{
	return set_limit(process, (int)resource, limit, old);
}

EXPORT int prlimit64(pid_t process, enum __rlimit_resource resource, const struct rlimit64 *limit, struct rlimit64 *old)
{
	return set_limit(process, (int)resource, (const struct rlimit *)limit, (struct rlimit *)old);
}
