/* SPDX-License-Identifier: BSD-3-Clause */
/* Time and threads. packetdrill has two threads: the main one runs the script, the other one the calls that are written with an end time. Time
 * passes in usleep, in gettimeofday when it is called again and again, in netdev_receive, and where a call of the main thread has to wait; a
 * call of the other thread sleeps on a futex, for packetdrill waits until the process table shows it asleep.
 *
 * When something has happened the sleepers look again, and the clock stands until each sleeps again or, its call being over, has asked what
 * time it is: else its end would be stamped with a time that came after it. */
#include "tools/packetdrill/plugin.h"

#include <errno.h>
#include <time.h>

#define NOTHING_COMES (700 * NSEC_PER_SEC)
#define PATIENCE_SECONDS 5      /* of real time, for a thread that was released and never asks for the time */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t sleepers, settled;
	pthread_t main;
	unsigned asleep;        /* threads in clock_sleep */
	unsigned pending;       /* woken, and neither asleep again nor told the time */
	unsigned generation;    /* of wake-ups */
} threads = { .lock = PTHREAD_MUTEX_INITIALIZER, .sleepers = PTHREAD_COND_INITIALIZER, .settled = PTHREAD_COND_INITIALIZER };

static __thread bool released;  /* one of the pending */
static __thread bool spinning;  /* the last call was gettimeofday, too */

static void no_longer_pending(void)
{
	if (!released)
		return;
	released = false;
	if (threads.pending > 0)
		threads.pending--;
	pthread_cond_broadcast(&threads.settled);
}

/* A thread that is pending does not wait for itself: whoever woke it goes on with the others. */
static void progress(void)
{
	struct timespec patience;

	if (threads.asleep == 0 || released)
		return;
	threads.pending += threads.asleep;
	threads.generation++;
	pthread_cond_broadcast(&threads.sleepers);
	clock_gettime(CLOCK_REALTIME, &patience);
	patience.tv_sec += PATIENCE_SECONDS;
	while (threads.pending > 0)
		if (pthread_cond_timedwait(&threads.settled, &threads.lock, &patience) == ETIMEDOUT) {
			say("a blocked call has ended, but its thread does not ask for the time; the clock goes on");
			threads.pending = 0;
		}
}

static void run_to(nsec target)
{
	while (embed_step(plugin.embed, target))
		progress();
	progress();
}

static int sleep_on_futex(void)
{
	unsigned generation = threads.generation;

	no_longer_pending();
	threads.asleep++;
	while (threads.generation == generation)
		pthread_cond_wait(&threads.sleepers, &threads.lock);
	threads.asleep--;
	released = true;
	return 0;
}

void clock_begin(void)
{
	threads.main = pthread_self();
}

void clock_enter(void)
{
	pthread_mutex_lock(&threads.lock);
	spinning = false;
}

long clock_leave(long result)
{
	progress();
	pthread_mutex_unlock(&threads.lock);
	if (result >= 0)
		return result;
	errno = (int)-result;
	return -1;
}

bool clock_is_ours(int fd)
{
	bool ours;

	if (!atomic_load(&plugin.active))
		return false;
	pthread_mutex_lock(&threads.lock);
	ours = is_ours(fd);
	pthread_mutex_unlock(&threads.lock);
	return ours;
}

int clock_sleep(void *context, struct embed *e)
{
	(void)context;
	if (!pthread_equal(threads.main, pthread_self()))
		return sleep_on_futex();
	if (embed_step(e, NSEC_NEVER)) {
		progress();
		return 0;
	}
	say("a call without an end time would wait for ever: nothing is due any more");
	return -EDEADLK;
}

void clock_run_to_packet(void)
{
	nsec limit = embed_now(plugin.embed) + NOTHING_COMES;

	while (embed_packets_waiting(plugin.embed) == 0 && embed_step(plugin.embed, limit))
		progress();
}

long long clock_usecs(nsec t)
{
	return plugin.epoch + (long long)(t / NSEC_PER_USEC);
}

int clock_usleep(void *userdata, useconds_t usecs)
{
	(void)userdata;
	clock_enter();
	run_to(embed_now(plugin.embed) + usecs * NSEC_PER_USEC);
	return (int)clock_leave(0);
}

/* packetdrill spins on this for the last moments before an event. */
int clock_gettimeofday(void *userdata, struct timeval *tv, struct timezone *tz)
{
	bool again = spinning && !released;
	long long usecs;

	(void)userdata, (void)tz;
	clock_enter();
	if (again)
		run_to(embed_now(plugin.embed) + NSEC_PER_USEC);
	no_longer_pending();
	usecs = clock_usecs(embed_now(plugin.embed));
	tv->tv_sec = (time_t)(usecs / 1000000);
	tv->tv_usec = (suseconds_t)(usecs % 1000000);
	pthread_mutex_unlock(&threads.lock);
	spinning = true;
	return 0;
}
