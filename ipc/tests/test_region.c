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

static void every_core_has_lines_lanes_and_pages_of_its_own(void **state)
{
	const struct region_sizes sizes = { .lines = 1024, .data = UINT64_C(1) << 30, .lanes = 256, .waitsets = 256, .cores = REGION_CORES };
	const uint32_t last = (REGION_CORES - 1) << LINE_CORE_SHIFT | 1023, seat = region_seat(REGION_CORES - 1, REGION_SESSIONS - 1);
	struct region daemons, programs;
	struct region_fds own;
	uint32_t core, taken = 0;
	uint64_t word = 7, got = 0;

	(void)state;
	assert_int_equal(region_create(&daemons, &own, &sizes), 0);
	assert_int_equal(region_attach(&programs, &own), 0);
	assert_int_equal(programs.cores, REGION_CORES);
	assert_true(region_has_line(&programs, last));
	assert_false(region_has_line(&programs, last + 1));
	assert_false(region_has_line(&programs, REGION_CORES << LINE_CORE_SHIFT));
	for (core = 0; core < REGION_CORES; core++) {
		atomic_store(&region_line(&programs, core << LINE_CORE_SHIFT)->send_head, core + 1);
		atomic_store(&region_session(&programs, region_seat(core, 255))->opened, core + 1);
	}
	atomic_store(&region_line(&programs, last)->send_head, 99);
	for (core = 0; core < REGION_CORES; core++) {
		assert_int_equal(atomic_load(&region_line(&daemons, core << LINE_CORE_SHIFT)->send_head), core + 1);
		assert_int_equal(atomic_load(&region_session(&daemons, region_seat(core, 255))->opened), core + 1);
	}
	assert_int_equal(atomic_load(&region_line(&daemons, last)->send_head), 99);
	assert_int_equal(region_map_lane(&daemons, seat, 255), 0);
	assert_int_equal(region_map_waitset(&daemons, seat, 255), 0);
	assert_int_equal(region_map_lane(&programs, seat, 255), 0);
	lane_reset(lane_requests(&daemons, seat, 255));
	assert_int_equal(rte_ring_sp_enqueue_bulk_elem(lane_requests(&programs, seat, 255), &(struct request){ .value = (int64_t)word },
		sizeof(struct request), 1, NULL), 1);
	{
		struct request q;

		assert_int_equal(lane_take(lane_requests(&daemons, seat, 255), &taken, &q, sizeof(q), 1), 1);
		got = (uint64_t)q.value;
	}
	assert_int_equal(got, word);
	region_unmap(&programs);
	region_unmap(&daemons);
	close(own.constants);
	close(own.shared);
	close(own.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(constants_cannot_be_written_by_a_program, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ring_constants_stay_read_only_where_a_ring_needs_them, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_area_can_shrink_or_grow, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_one_side_writes_the_other_sees, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_foreign_memfd_is_refused, set_up, tear_down),
		cmocka_unit_test(every_core_has_lines_lanes_and_pages_of_its_own),
	};

	return cmocka_run_group_tests_name("region", tests, NULL, NULL);
}
