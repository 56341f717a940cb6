/* SPDX-License-Identifier: BSD-3-Clause */
/* What the memory itself forbids a program. */
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

static struct region daemon_side, program_side;
static struct region_fds fds;

static int set_up(void **state)
{
	(void)state;
	assert_int_equal(region_create(&daemon_side, &fds, &(struct region_sizes){ .lines = 1024, .data = UINT64_C(1) << 30, .lanes = 256, .waitsets = 256, .cores = 1 }), 0);
	assert_int_equal(region_attach(&program_side, &fds), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	region_unmap(&daemon_side);
	region_unmap(&program_side);
	close(fds.constants);
	close(fds.shared);
	close(fds.data);
	return 0;
}

static void constants_cannot_be_written_by_a_program(void **state)
{
	(void)state;
	assert_ptr_equal(mmap(NULL, REGION_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fds.constants, 0), MAP_FAILED);
	assert_int_equal(errno, EPERM);
	assert_int_equal(mprotect(program_side.constants, REGION_PAGE, PROT_READ | PROT_WRITE), -1);
	assert_int_equal(errno, EACCES);
	assert_int_equal(pwrite(fds.constants, "x", 1, 0), -1);
	assert_int_equal(errno, EPERM);
}

static void ring_constants_stay_read_only_where_a_ring_needs_them(void **state)
{
	struct rte_ring *ring;
	uint8_t *page;

	(void)state;
	assert_int_equal(region_map_lane(&program_side, 3, 7), 0);
	ring = lane_requests(&program_side, 3, 7);
	assert_int_equal(ring->size, REQUEST_SLOTS);
	page = (uint8_t *)((uintptr_t)ring & ~(uintptr_t)(REGION_PAGE - 1));
	assert_int_equal(mprotect(page, REGION_PAGE, PROT_READ | PROT_WRITE), -1);
	assert_int_equal(errno, EACCES);
}

static void no_area_can_shrink_or_grow(void **state)
{
	(void)state;
	assert_int_equal(ftruncate(fds.constants, 0), -1);
	assert_int_equal(ftruncate(fds.shared, REGION_PAGE), -1);
	assert_int_equal(ftruncate(fds.data, 0), -1);
	assert_int_equal(ftruncate(fds.data, INT64_C(1) << 40), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(fcntl(fds.shared, F_ADD_SEALS, F_SEAL_WRITE), -1);
}

static void what_one_side_writes_the_other_sees(void **state)
{
	(void)state;
	atomic_store(&region_line(&program_side, 1023)->send_head, 77);
	assert_int_equal(atomic_load(&region_line(&daemon_side, 1023)->send_head), 77);
	daemon_side.data[12345] = 9;
	assert_int_equal(program_side.data[12345], 9);
}

static void a_foreign_memfd_is_refused(void **state)
{
	struct region r;
	struct region_fds wrong = { .constants = fds.shared, .shared = fds.shared, .data = fds.data };

	(void)state;
	assert_int_equal(region_attach(&r, &wrong), -EPROTO);
	wrong = (struct region_fds){ .constants = fds.constants, .shared = fds.data, .data = fds.shared };
	assert_int_equal(region_attach(&r, &wrong), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(constants_cannot_be_written_by_a_program, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ring_constants_stay_read_only_where_a_ring_needs_them, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_area_can_shrink_or_grow, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_one_side_writes_the_other_sees, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_foreign_memfd_is_refused, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("region", tests, NULL, NULL);
}
