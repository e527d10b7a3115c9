# SPDX-License-Identifier: GPL-2.0-only
#
# dm-cowprotect: the module and its tools.
#
#	make			the module for KDIR and the tools
#	make module		the module alone (KDIR=..., W=1, C=2 as in the kernel)
#	make tools		the tools alone
#	make install		the tools, with DESTDIR and prefix (userspace/Makefile has more)
#	make uninstall		takes them away again
#	make install-dkms	the module's sources, where dkms looks for them
#	make check		all tests that fit in 40 minutes on two cores
#	make check-full		all tests
#	make bench		figures beside dm-linear, dm-snapshot and dm-thin (half an hour)
#	make demo		a snapshot, a lost diff disk and a power cut, shown in a
#				virtual machine
#	make clean		remove build/ (the cache of kernels is .cache/)
#
# Modules are built in a copy of their sources under build/, so that those for
# several kernels do not disturb one another.

KDIR ?= /lib/modules/$(shell uname -r)/build
RELEASE = $(shell $(MAKE) -s --no-print-directory -C $(KDIR) kernelrelease 2>/dev/null)
KARGS = $(if $(W),W=$(W)) $(if $(C),C=$(C))
VERSION ?= $(shell sed -n '1s/.*(\(.*\)).*/\1/p' debian/changelog)
DKMS_DIR = $(DESTDIR)/usr/src/dm-cowprotect-$(VERSION)

all: module tools

module:
	@scripts/build-module $(KDIR) build/module-$(RELEASE) dm-cowprotect $(KARGS)

kunit-module:
	@scripts/build-module $(KDIR) build/kunit-$(RELEASE) tests/kunit $(KARGS)

tools:
	@$(MAKE) --no-print-directory -C userspace

install:
	@$(MAKE) --no-print-directory -C userspace $@

uninstall:
	@$(MAKE) --no-print-directory -C userspace $@

install-dkms:
	@find dm-cowprotect include \( -name Kbuild -o -name '*.[ch]' -o -name '*.sh' \) \
		! -name '*.mod.c' ! -name compat-config.h \
		-exec install -D -m 644 '{}' '$(DKMS_DIR)/{}' \;
	@sed '/tests\//d' Kbuild > '$(DKMS_DIR)/Kbuild'
	@sed 's/#MODULE_VERSION#/$(VERSION)/' dkms.conf > '$(DKMS_DIR)/dkms.conf'

check:
	@scripts/check

check-full:
	@scripts/check --full

demo:
	@scripts/demo

bench:
	@tests/bench/run

clean:
	rm -rf build

.PHONY: all module kunit-module tools install uninstall install-dkms check check-full demo bench clean
