/* SPDX-License-Identifier: BSD-3-Clause */
/* Descriptor numbers: what the table and the kernel's own table say of the same number. No daemon is needed. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "posix/calls.h"

static int open_socket(enum ep_type type, int flags)
{
	struct socket *s = socket_new_or_null(type, 0, false);
	int fd;

	assert_non_null(s);
	fd = fdtable_add_socket(s, flags);
	socket_put(s);
	return fd;
}

static int lowest_free(void)
{
	int fd = libc.dup(0);

	assert_true(fd >= 0);
	libc.close(fd);
	return fd;
}

static void number_is_the_lowest_free_one(void **state)
{
	int wanted, fd;

	(void)state;
	light_close(open_socket(EP_STREAM, 0));         /* the placeholder exists now */
	wanted = lowest_free();
	fd = open_socket(EP_STREAM, 0);
	assert_int_equal(fd, wanted);
	assert_int_equal(fdtable_kind(fd), DESCRIPTOR_SOCKET);
	assert_int_equal(light_close(fd), 0);
	assert_int_equal(fdtable_kind(fd), DESCRIPTOR_NONE);
	assert_int_equal(lowest_free(), wanted);
}

static void kernel_sees_a_socket_under_the_number(void **state)
{
	int fd = open_socket(EP_DATAGRAM, SOCK_CLOEXEC), type;
	socklen_t length = sizeof(type);
	struct stat st;

	(void)state;
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(libc.getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length), 0);
	assert_int_equal(type, SOCK_DGRAM);
	assert_int_equal(libc.fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), -1);
	assert_int_equal(errno, ESPIPE);
	light_close(fd);
}

static void copies_are_one_socket_until_the_last_is_closed(void **state)
{
	int fd = open_socket(EP_STREAM, 0), copy = light_dup(fd, 0, 0), high = light_dup(fd, 100, O_CLOEXEC);
	struct socket *s = fdtable_socket(fd), *t = fdtable_socket(copy), *u = fdtable_socket(high);

	(void)state;
	assert_true(high >= 100);
	assert_ptr_equal(s, t);
	assert_ptr_equal(s, u);
	socket_put(t);
	socket_put(u);
	light_close(fd);
	light_close(high);
	assert_int_equal(atomic_load(&s->descriptors), 1);
	light_close(copy);
	assert_int_equal(atomic_load(&s->descriptors), 0);
	assert_int_equal(atomic_load(&s->references), 1);
	socket_put(s);
	assert_int_equal(atomic_load(&s->references), 0);
}

static void dup2_over_a_socket_and_over_a_file(void **state)
{
	int fd = open_socket(EP_STREAM, 0), other = open_socket(EP_STREAM, 0), file = libc.dup(0);
	struct stat st, of_file;

	(void)state;
	assert_int_equal(light_dup3(fd, file, 0, false), file);
	assert_int_equal(fdtable_kind(file), DESCRIPTOR_SOCKET);
	assert_int_equal(light_dup3(0, other, O_CLOEXEC, true), other);
	assert_int_equal(fdtable_kind(other), DESCRIPTOR_NONE);
	assert_int_equal(fstat(0, &of_file), 0);
	assert_int_equal(fstat(other, &st), 0);
	assert_int_equal(st.st_ino, of_file.st_ino);
	assert_int_equal(light_dup3(fd, fd, 0, false), fd);
	assert_int_equal(light_dup3(fd, fd, 0, true), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(light_dup3(900, fd, 0, false), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(fdtable_kind(fd), DESCRIPTOR_SOCKET);
	light_close(fd);
	light_close(other);
	light_close(file);
}

static void close_range_forgets_sockets_and_spares_the_librarys_own(void **state)
{
	int low = open_socket(EP_STREAM, 0), high = light_dup(low, 200, 0), kept;

	(void)state;
	assert_int_equal(light_close_range(150, ~0u, 0), 0);
	assert_int_equal(fdtable_kind(high), DESCRIPTOR_NONE);
	assert_int_equal(fdtable_kind(low), DESCRIPTOR_SOCKET);
	kept = open_socket(EP_STREAM, 0);               /* needs the placeholder */
	assert_true(kept >= 0);
	assert_int_equal(light_close_range(5, 4, 0), -1);
	assert_int_equal(errno, EINVAL);
	light_close(low);
	light_close(kept);
}

static void own_descriptors_look_closed(void **state)
{
	int own = -1;

	(void)state;
	light_close(open_socket(EP_STREAM, 0));
	for (int fd = 3; fd < 8192 && own < 0; fd++)
		if (fdtable_is_own(fd))
			own = fd;
	assert_true(own >= 0);
	assert_int_equal(light_close(own), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(light_dup3(0, own, 0, false), -1);
	assert_int_equal(errno, EBUSY);
	assert_int_equal(light_dup(own, 0, 0), -1);
	assert_int_equal(errno, EBADF);
	assert_true(libc.fcntl(own, F_GETFD) >= 0);
}

static void no_number_left_is_emfile(void **state)
{
	struct rlimit before, now;
	struct socket *s = socket_new_or_null(EP_STREAM, 0, false);

	(void)state;
	light_close(open_socket(EP_STREAM, 0));
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	now = before;
	now.rlim_cur = (rlim_t)lowest_free();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
	assert_int_equal(fdtable_add_socket(s, 0), -EMFILE);
	setrlimit(RLIMIT_NOFILE, &before);
	socket_put(s);
}

static void high_numbers_count_down_from_the_limit(void **state)
{
	struct rlimit limit;
	int first, second;

	(void)state;
	getrlimit(RLIMIT_NOFILE, &limit);
	settings.fd_high = true;
	first = open_socket(EP_STREAM, 0);
	second = open_socket(EP_STREAM, 0);
	settings.fd_high = false;
	assert_true(first > 500 && (rlim_t)first < limit.rlim_cur);
	assert_true(second < first);
	light_close(first);
	light_close(second);
}

/* ---- threads ---- */

static _Atomic bool stop;
static _Atomic int shared_fd = -1;

static void *look(void *context)
{
	uintptr_t found = 0;

	(void)context;
	while (!atomic_load(&stop)) {
		struct socket *s = fdtable_socket(atomic_load(&shared_fd));

		if (!s)
			continue;
		found++;
		assert_true(atomic_load(&s->references) > 0);
		socket_put(s);
	}
	return (void *)found;
}

static void looking_up_while_others_close_is_safe(void **state)
{
	pthread_t thread;
	void *found;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, look, NULL), 0);
	for (int i = 0; i < 20000; i++) {
		int fd = open_socket(i & 1 ? EP_STREAM : EP_DATAGRAM, 0);

		atomic_store(&shared_fd, fd);
		light_close(fd);
	}
	atomic_store(&stop, true);
	pthread_join(thread, &found);
	for (int fd = 0; fd <= fdtable_highest(); fd++)
		assert_int_equal(fdtable_kind(fd), DESCRIPTOR_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(number_is_the_lowest_free_one),
		cmocka_unit_test(kernel_sees_a_socket_under_the_number),
		cmocka_unit_test(copies_are_one_socket_until_the_last_is_closed),
		cmocka_unit_test(dup2_over_a_socket_and_over_a_file),
		cmocka_unit_test(close_range_forgets_sockets_and_spares_the_librarys_own),
		cmocka_unit_test(own_descriptors_look_closed),
		cmocka_unit_test(no_number_left_is_emfile),
		cmocka_unit_test(high_numbers_count_down_from_the_limit),
		cmocka_unit_test(looking_up_while_others_close_is_safe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
