/* SPDX-License-Identifier: BSD-3-Clause */
/* The server's books for lightctl and tests: counters, who is attached, and whether all of it adds up. */
#include "ipc/server_private.h"

void server_stats(const struct server *s, struct server_stats *out)
{
	const struct family *f;

	*out = s->stats;
	out->data_lent = out->data_warm = 0;
	LIST_FOREACH(f, &s->families, node) {
		out->data_lent += f->extents.lent;
		out->data_warm += f->extents.warm;
	}
}

static uint32_t bits(const uint64_t words[SESSION_WORDS])
{
	uint32_t n = 0;
	unsigned i;

	for (i = 0; i < SESSION_WORDS; i++)
		n += (uint32_t)__builtin_popcountll(words[i]);
	return n;
}

static uint32_t granted(const struct session *s)
{
	uint32_t n = 0;
	unsigned i;

	for (i = 0; i < REGION_STOCK; i++)
		n += s->stock[i] != 0;
	return n;
}

bool server_walk_sessions(const struct server *s, uint32_t *cursor, struct server_session_info *out)
{
	const struct session *session = TAILQ_FIRST(&s->sessions);
	uint32_t i;

	for (i = 0; session && i < *cursor; i++)
		session = TAILQ_NEXT(session, node);
	if (!session)
		return false;
	(*cursor)++;
	*out = (struct server_session_info){
		.family = session->family->number,
		.session = session->number,
		.pid = session->pid,
		.uid = session->family->user->uid,
		.host = session->family->host->name,
		.lines = session->lines - granted(session),
		.lanes = bits(session->lanes_open),
		.waitsets = bits(session->waitsets_open),
		.family_data = s->cores_n > 1 ? atomic_load(&session->family->common->lent) : session->family->extents.lent,
		.requests = session->requests,
	};
	return true;
}

pid_t server_owner_pid(const struct server *s, uint64_t owner)
{
	uint64_t number = owner >> 32;
	uint32_t line = (uint32_t)owner, i;
	const struct family *f;

	if (number == 0 || number > s->config.quota.families)
		return 0;
	f = s->numbers[number - 1];
	if (!f || !line_is_here(f, line))
		return 0;
	if (line_record(f, line)->use == LINE_WAITING)
		line = line_record(f, line)->parent;
	if (line_record(f, line)->shadow)
		return line_record(f, line)->shadow->pid;
	for (i = 0; i < REGION_SESSIONS; i++)
		if (holds(line_record(f, line), i) && f->sessions[i])
			return f->sessions[i]->pid;
	return 0;
}

/* ---- whether it adds up ---- */

static const char *check_line(const struct family *f, uint32_t line, uint32_t *held)
{
	const struct line_record *l = line_record(f, line);
	const struct watch *w;
	uint32_t i, holders = 0;

	for (i = 0; i < REGION_SESSIONS; i++) {
		if (!holds(l, i))
			continue;
		if (!f->sessions[i])
			return "a line is held by a session that is gone";
		held[i]++;
		holders++;
	}
	if (l->use == LINE_GRANTED) {
		if (!f->sessions[l->session])
			return "a line is granted to a session that is gone";
		held[l->session]++;
	}
	if ((l->use == LINE_USED) != (holders > 0))
		return "a line is in use without holder, or held without use";
	if (l->use == LINE_WAITING && line_record(f, l->parent)->use != LINE_USED && line_record(f, l->parent)->use != LINE_SHADOW)
		return "a child waits at a listener that is gone";
	for (w = l->watches; w; w = w->next)
		if (w->line != line || l->use != LINE_USED)
			return "a watch is on the wrong line";
	return NULL;
}

static const char *check_family(const struct family *f)
{
	uint32_t held[REGION_SESSIONS] = { 0 }, i, used = 0, sessions = 0;
	const char *wrong;

	for (i = 0; i < f->lines_top; i++) {
		used += f->lines[i].use != LINE_FREE;
		wrong = check_line(f, line_number(f, i), held);
		if (wrong)
			return wrong;
	}
	if (used != f->lines_n)
		return "a family's count of lines is wrong";
	for (i = 0; i < REGION_SESSIONS; i++) {
		sessions += f->sessions[i] != NULL;
		if (f->sessions[i] && f->sessions[i]->lines != held[i])
			return "a session's count of lines is wrong";
	}
	if (sessions != f->sessions_n)
		return "a family's count of sessions is wrong";
	if (f->extents.warm > f->extents.top || f->extents.lent > f->extents.top)
		return "more memory is lent than there is";
	return NULL;
}

const char *server_check(const struct server *s)
{
	uint32_t families = 0, sessions = 0, lines = 0;
	const struct family *f;
	const struct user *u;

	LIST_FOREACH(f, &s->families, node) {
		const char *wrong = check_family(f);

		if (wrong)
			return wrong;
		families++;
		sessions += f->sessions_n;
		lines += f->lines_n;
	}
	/* What several cores count in common is right when all rest (server_check_cores). */
	for (u = s->cores_n == 1 ? LIST_FIRST(&s->users) : NULL; u; u = LIST_NEXT(u, node)) {
		uint64_t data = 0;
		uint32_t n = 0, own = 0;

		LIST_FOREACH(f, &s->families, node) {
			if (f->user != u)
				continue;
			own++;
			n += f->lines_n;
			data += f->extents.lent;
		}
		if (own != u->families || n != u->lines || data != u->data)
			return "a user's account is wrong";
	}
	if (families != s->stats.families || sessions != s->stats.sessions || lines != s->stats.lines)
		return "the server's counts are wrong";
	return NULL;
}
