/* SPDX-License-Identifier: BSD-3-Clause */
/* Writes BPF instructions (RFC 9669), with labels to jump to: our program is so short that a compiler for it would be the
 * larger part of what has to be installed. Registers are BPF_REG_0 .. BPF_REG_10, sizes BPF_B, BPF_H, BPF_W, BPF_DW. */
#ifndef LIGHT_IO_AFXDP_CODE_H
#define LIGHT_IO_AFXDP_CODE_H

#include <linux/bpf.h>

#include "stack/base/check.h"

#define CODE_INSTRUCTIONS 256u
#define CODE_LABELS 24u
#define CODE_JUMPS 64u

struct code {
	struct bpf_insn insn[CODE_INSTRUCTIONS];
	unsigned count;
	int label[CODE_LABELS];  /* where each label stands; code_finish needs all that are jumped to */
	struct {
		unsigned at, label;
	} jump[CODE_JUMPS];
	unsigned jumps;
};

static inline void code_start(struct code *c)
{
	c->count = c->jumps = 0;
	for (unsigned i = 0; i < CODE_LABELS; i++)
		c->label[i] = -1;
}

static inline void code_emit(struct code *c, unsigned op, unsigned to, unsigned from, int offset, int value)
{
	CHECK(c->count < CODE_INSTRUCTIONS);
	c->insn[c->count++] = (struct bpf_insn){ .code = (__u8)op, .dst_reg = (__u8)to & 15, .src_reg = (__u8)from & 15,
		.off = (__s16)offset, .imm = value };
}

/* to = *(size *)(from + offset) */
static inline void code_load(struct code *c, unsigned size, unsigned to, unsigned from, int offset)
{
	code_emit(c, BPF_LDX | BPF_MEM | size, to, from, offset, 0);
}

/* *(size *)(to + offset) = from */
static inline void code_store(struct code *c, unsigned size, unsigned to, int offset, unsigned from)
{
	code_emit(c, BPF_STX | BPF_MEM | size, to, from, offset, 0);
}

static inline void code_store_value(struct code *c, unsigned size, unsigned to, int offset, int value)
{
	code_emit(c, BPF_ST | BPF_MEM | size, to, 0, offset, value);
}

static inline void code_move(struct code *c, unsigned to, unsigned from)
{
	code_emit(c, BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0);
}

static inline void code_set(struct code *c, unsigned to, int value)
{
	code_emit(c, BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, value);
}

/* to = to operation value; BPF_ADD, BPF_AND, BPF_LSH ... */
static inline void code_compute(struct code *c, unsigned operation, unsigned to, int value)
{
	code_emit(c, BPF_ALU64 | operation | BPF_K, to, 0, 0, value);
}

static inline void code_add(struct code *c, unsigned to, unsigned from)
{
	code_emit(c, BPF_ALU64 | BPF_ADD | BPF_X, to, from, 0, 0);
}

/* A 16-bit value in network order becomes one of this machine. */
static inline void code_from_network16(struct code *c, unsigned reg)
{
	code_emit(c, BPF_ALU | BPF_END | BPF_TO_BE, reg, 0, 0, 16);
}

static inline void code_map(struct code *c, unsigned to, int fd)
{
	code_emit(c, BPF_LD | BPF_IMM | BPF_DW, to, BPF_PSEUDO_MAP_FD, 0, fd);
	code_emit(c, 0, 0, 0, 0, 0);
}

static inline void code_call(struct code *c, int function)
{
	code_emit(c, BPF_JMP | BPF_CALL, 0, 0, 0, function);
}

static inline void code_leave(struct code *c)
{
	code_emit(c, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static inline void code_label(struct code *c, unsigned label)
{
	CHECK(label < CODE_LABELS && c->label[label] < 0);
	c->label[label] = (int)c->count;
}

static inline void code_jump_noted(struct code *c, unsigned label)
{
	CHECK(label < CODE_LABELS && c->jumps < CODE_JUMPS);
	c->jump[c->jumps].at = c->count;
	c->jump[c->jumps++].label = label;
}

static inline void code_jump(struct code *c, unsigned label)
{
	code_jump_noted(c, label);
	code_emit(c, BPF_JMP | BPF_JA, 0, 0, 0, 0);
}

/* Jumps if reg condition value; BPF_JEQ, BPF_JNE, BPF_JGT ... */
static inline void code_jump_if(struct code *c, unsigned condition, unsigned reg, int value, unsigned label)
{
	code_jump_noted(c, label);
	code_emit(c, BPF_JMP | condition | BPF_K, reg, 0, 0, value);
}

static inline void code_jump_if_reg(struct code *c, unsigned condition, unsigned reg, unsigned with, unsigned label)
{
	code_jump_noted(c, label);
	code_emit(c, BPF_JMP | condition | BPF_X, reg, with, 0, 0);
}

/* Jumps count from the instruction behind them. */
static inline void code_finish(struct code *c)
{
	for (unsigned i = 0; i < c->jumps; i++) {
		int target = c->label[c->jump[i].label];

		CHECK(target > (int)c->jump[i].at);
		c->insn[c->jump[i].at].off = (__s16)(target - (int)c->jump[i].at - 1);
	}
}

#endif
