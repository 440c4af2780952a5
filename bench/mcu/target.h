/* What a target gives main.c: a host for files, and a counter of instructions. */
#ifndef MCU_TARGET_H
#define MCU_TARGET_H

#include <stdint.h>

/* A semihosting call: QEMU stops at the instructions in it and does what operation says. */
intptr_t target_call(intptr_t operation, const void *argument);

/* The program ends; the emulator's exit status is 0 for ok, else 1. */
_Noreturn void target_exit(int ok);

void target_start_counter(void);

/* Instructions from the counter's start on. */
uint64_t target_instructions(void);

/* No more interrupts by the counter, which would put their frames on the stack. */
void target_stop_counter(void);

/* Of the function it is in. */
static inline __attribute__((always_inline)) uintptr_t target_stack_pointer(void)
{
    uintptr_t pointer;
#ifdef __arm__
    __asm__ volatile("mov %0, sp" : "=r"(pointer));
#else
    __asm__ volatile("mv %0, sp" : "=r"(pointer));
#endif
    return pointer;
}

int main(void);

/* Where the linker script has put things. */
extern uint32_t data_load[], data_start[], data_end[], bss_start[], bss_end[], stack_top[];

#endif
