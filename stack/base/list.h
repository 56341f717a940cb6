/* SPDX-License-Identifier: BSD-3-Clause */
/* An intrusive, circular, doubly linked list. A head and a node are the same struct; a node that is on no
 * list points to itself (list_init) or is all zero, and both count as "not linked". */
#ifndef LIGHT_BASE_LIST_H
#define LIGHT_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

/* The struct that holds this node. */
#define container_of(node, type, member) ((type *)(void *)((char *)(node) - offsetof(type, member)))

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *head)
{
	return head->next == head;
}

static inline bool list_linked(const struct list *node)
{
	return node->next && node->next != node;
}

/* Links a node before `at`: with a head, at the end. */
static inline void list_append(struct list *at, struct list *node)
{
	node->prev = at->prev;
	node->next = at;
	at->prev->next = node;
	at->prev = node;
}

/* Links a node behind `at`: with a head, at the beginning. */
static inline void list_prepend(struct list *at, struct list *node)
{
	list_append(at->next, node);
}

/* Harmless for a node that is not linked. */
static inline void list_remove(struct list *node)
{
	if (!node->next)
		return;
	node->next->prev = node->prev;
	node->prev->next = node->next;
	list_init(node);
}

/* NULL: empty. */
static inline struct list *list_first_or_null(const struct list *head)
{
	return list_empty(head) ? NULL : head->next;
}

/* Takes the first node off; NULL: empty. */
static inline struct list *list_take_or_null(struct list *head)
{
	struct list *node = list_first_or_null(head);

	if (node)
		list_remove(node);
	return node;
}

/* Moves everything from one head to the end of another. */
static inline void list_splice(struct list *to, struct list *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

/* `node` may be removed in the body. */
#define list_for_each(node, head) \
	for (struct list *node = (head)->next, *node##_next = node->next; node != (head); \
	     node = node##_next, node##_next = node->next)

#endif
