/* SPDX-License-Identifier: BSD-3-Clause */
/* The process's descriptor table. A file that is closed while a call of another thread uses it lives until that call has ended. */
#include "embed_state.h"

#include <errno.h>
#include <stdlib.h>

#define NUMBER_FIRST 3
#define NUMBER_MOST 65536

static int lowest_free(const struct embed *e)
{
	int number = NUMBER_FIRST;

	while (number < e->file_room && e->files[number])
		number++;
	return number < NUMBER_MOST ? number : -EMFILE;
}

static bool make_room(struct embed *e, int number)
{
	int room = e->file_room ? e->file_room : 64;
	struct embed_file **files;

	while (room <= number)
		room *= 2;
	if (room == e->file_room)
		return true;
	files = realloc(e->files, (size_t)room * sizeof(files[0]));
	if (!files)
		return false;
	for (int i = e->file_room; i < room; i++)
		files[i] = NULL;
	e->files = files;
	e->file_room = room;
	return true;
}

static void destroy(struct embed_file *f)
{
	if (f->kind == EMBED_EPOLL)
		embed_watches_free((struct embed_epoll *)(void *)f);
	free(f);
}

bool embed_has(const struct embed *e, int fd)
{
	return fd >= 0 && fd < e->file_room && e->files[fd];
}

int embed_file_add(struct embed *e, struct embed_file *f)
{
	int number = e->hooks.take_number ? e->hooks.take_number(e->hooks.context) : lowest_free(e);

	if (number < 0)
		return number;
	if (!make_room(e, number)) {
		if (e->hooks.give_number)
			e->hooks.give_number(e->hooks.context, number);
		return -ENOMEM;
	}
	f->number = number;
	e->files[number] = f;
	return number;
}

struct embed_file *embed_file_get(struct embed *e, int fd, enum embed_kind kind)
{
	struct embed_file *f = embed_has(e, fd) ? e->files[fd] : NULL;

	if (!f || f->kind != kind)
		return NULL;
	f->calls++;
	return f;
}

void embed_file_put(struct embed_file *f)
{
	if (--f->calls == 0 && f->closed)
		destroy(f);
}

void embed_file_remove(struct embed *e, struct embed_file *f)
{
	embed_unwatch(e, f->number);
	e->files[f->number] = NULL;
	f->closed = true;
	if (e->hooks.give_number)
		e->hooks.give_number(e->hooks.context, f->number);
}

void embed_files_free(struct embed *e)
{
	for (int i = 0; i < e->file_room; i++)
		if (e->files[i])
			destroy(e->files[i]);
	free(e->files);
}
