/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench/machine.c - what the figures are of
 *
 * A hypervisor signs CPUID leaf 0x40000000.  QEMU without KVM signs as TCG: it
 * translates instructions, so distance between nodes costs nothing there.
 * Processors without CPUID tell the firmware's vendor only.
 */
#include "bench/machine.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>

/* The 12 bytes of the signature; false on hardware. */
static bool read_signature(char signature[13])
{
	unsigned a, b, c, d;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & 1u << 31))
		return false;
	__cpuid(0x40000000, a, b, c, d);
	memcpy(signature, &b, 4);
	memcpy(signature + 4, &c, 4);
	memcpy(signature + 8, &d, 4);
	signature[12] = '\0';
	return true;
}
#else
static bool read_signature(char signature[13])
{
	(void)signature;
	return false;
}
#endif

static const struct {
	const char *signature;
	const char *name;
	bool emulated;
} hypervisors[] = {
	{"TCGTCGTCGTCG", "QEMU TCG", true},
	{"KVMKVMKVM", "KVM", false},
	{"Microsoft Hv", "Hyper-V", false},
	{"VMwareVMware", "VMware", false},
	{"XenVMMXenVMM", "Xen", false},
	{"bhyve bhyve ", "bhyve", false},
	{"ACRNACRNACRN", "ACRN", false},
	/* By the vendor, where there is no signature to tell TCG from KVM. */
	{"QEMU", "QEMU, may be emulated", false},
};

/* The first line of @path, without its end; "" when there is none. */
static void read_line(const char *path, char *line, size_t len)
{
	FILE *f = fopen(path, "re");

	line[0] = '\0';
	if (!f)
		return;
	if (!fgets(line, (int)len, f))
		line[0] = '\0';
	line[strcspn(line, "\n")] = '\0';
	fclose(f);
}

static void read_hypervisor(struct kn_machine *m)
{
	char name[64];

	if (!read_signature(name)) {
		read_line("/sys/class/dmi/id/sys_vendor", name, sizeof(name));
		if (strcmp(name, "QEMU"))
			return;
	}
	snprintf(m->hypervisor, sizeof(m->hypervisor), "%.31s", name);
	for (size_t i = 0; i < sizeof(hypervisors) / sizeof(hypervisors[0]);
	     i++) {
		if (strcmp(name, hypervisors[i].signature))
			continue;
		strcpy(m->hypervisor, hypervisors[i].name);
		m->emulated = hypervisors[i].emulated;
	}
}

static void read_cpu(struct kn_machine *m)
{
	static const char key[] = "model name";
	char line[256];
	FILE *f = fopen("/proc/cpuinfo", "re");

	strcpy(m->cpu, "unknown processor");
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		const char *value = strchr(line, ':');

		if (strncmp(line, key, strlen(key)) || !value)
			continue;
		line[strcspn(line, "\n")] = '\0';
		value += strspn(value, ": ");
		snprintf(m->cpu, sizeof(m->cpu), "%.95s", value);
		break;
	}
	fclose(f);
}

void kn_machine_read(struct kn_machine *m)
{
	struct utsname u = {0};

	memset(m, 0, sizeof(*m));
	uname(&u);
	snprintf(m->system, sizeof(m->system), "%.40s %.40s %.40s", u.sysname,
		 u.release, u.machine);
	read_cpu(m);
	read_hypervisor(m);
}
