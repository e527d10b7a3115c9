// SPDX-License-Identifier: GPL-2.0-only
/*
 * AddressSanitizer's settings.  What is left behind is checked by the simulator
 * itself: a power cut drops an engine without taking it apart.
 */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
	return "detect_leaks=0:quarantine_size_mb=16:malloc_context_size=8:handle_abort=1";
}
