/* This machine's readings, from a tree of files as kernels show them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "edge/machine.h"
#include "store/file.h"
#include "unit/store/folder.h"

#include <stdio.h>
#include <stdlib.h>

static struct machine *machine;

static void put(void **state, const char *path, const char *content)
{
    char folder[512];
    snprintf(folder, sizeof folder, "%s/%s", (const char *)*state, path);
    *strrchr(folder, '/') = '\0';
    assert_int_equal(folder_make(folder, NULL, 0), 0);
    put_file(folder_path(state, path), bytes_str(content), 0600);
}

static void read_all(void **state)
{
    machine_read(machine, *state, BYTES_LIT("box"), 1234567);
    for (size_t i = 0; i < machine->count; i++) {
        assert_int_equal(row_check(&machine->rows[i]), 0);
        assert_true(bytes_equal(machine->rows[i].device, BYTES_LIT("box")));
        assert_int_equal(machine->rows[i].time_us, 1234567);
    }
}

static const struct row *row(const char *service, const char *name)
{
    for (size_t i = 0; i < machine->count; i++) {
        if (bytes_equal(machine->rows[i].service, bytes_str(service)) &&
            bytes_equal(machine->rows[i].name, bytes_str(name)))
            return &machine->rows[i];
    }
    return NULL;
}

static void says(const char *service, const char *name, const char *value, const char *unit)
{
    const struct row *found = row(service, name);
    if (found == NULL)
        fail_msg("no %s %s", service, name);
    if (!bytes_equal(found->value, bytes_str(value)))
        fail_msg("%s %s is %.*s, not %s", service, name, (int)found->value.n,
                 (const char *)found->value.p, value);
    assert_true(bytes_equal(found->unit, bytes_str(unit)));
}

static int setup(void **state)
{
    machine = calloc(1, sizeof *machine);
    return machine == NULL ? -1 : folder_setup(state);
}

static int teardown(void **state)
{
    machine_close(machine);
    free(machine);
    return folder_teardown(state);
}

static void load_memory_and_uptime(void **state)
{
    put(state, "proc/loadavg", "0.52 0.58 1.59 3/467 12345\n");
    put(state, "proc/meminfo",
        "MemTotal:       16316412 kB\nMemFree:         123456 kB\nMemAvailable:   12345678 kB\n"
        "HugePages_Total:       0\nSwapTotal:             0 kB\n");
    put(state, "proc/uptime", "350735.47 234388.90\n");
    read_all(state);
    says("load", "load_1", "0.52", "");
    says("load", "load_5", "0.58", "");
    says("load", "load_15", "1.59", "");
    says("load", "running", "3", "");
    says("load", "processes", "467", "");
    says("memory", "total", "16708005888", "bytes");
    says("memory", "available", "12641974272", "bytes");
    says("memory", "swap_total", "0", "bytes");
    says("uptime", "uptime", "350735.47", "s");
    assert_null(row("memory", "swap_free"));
    assert_int_equal(machine->count, 5 + 4 + 1);
}

static void network_interfaces(void **state)
{
    put(state, "proc/net/dev",
        "Inter-|   Receive                                                |  Transmit\n"
        " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs\n"
        "    lo: 100 2 3 4 0 0 0 0 500 6 7 8 0 0 0 0\n"
        "eth0:1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"
        "  eth0:1: 7 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
        "veth12ab: 7 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
        "  bad: 1 2 three\n");
    read_all(state);
    says("network", "lo.rx_bytes", "100", "bytes");
    says("network", "lo.rx_packets", "2", "packets");
    says("network", "lo.tx_bytes", "500", "bytes");
    says("network", "lo.tx_dropped", "8", "packets");
    says("network", "eth0.tx_bytes", "9", "bytes");
    says("network", "eth0_1.rx_bytes", "7", "bytes");
    assert_int_equal(machine->count, 3 * 8);
}

static void whole_disks(void **state)
{
    put(state, "proc/diskstats",
        "   8       0 sda 100 0 2000 0 300 0 4000 0 0 0 0 0 0 0 0 0 0\n"
        "   8       1 sda1 1 0 2 0 3 0 4 0 0 0 0 0 0 0 0 0 0\n"
        " 259       0 nvme0n1 5 0 6 0 7 0 8 0 0 0 0\n"
        " 253       0 zram0 1 0 2 0 3 0 4 0 0 0 0\n"
        "   7       0 loop0 1 0 2 0 3 0 4 0 0 0 0\n"
        "   7       x ../../etc 1 0 2 0 3 0 4\n");
    put(state, "sys/block/sda/size", "");
    put(state, "sys/block/nvme0n1/size", "");
    put(state, "sys/block/loop0/size", "");
    put(state, "sys/block/zram0/size", "");
    read_all(state);
    says("disk", "sda.reads", "100", "");
    says("disk", "sda.read_bytes", "1024000", "bytes");
    says("disk", "sda.writes", "300", "");
    says("disk", "sda.written_bytes", "2048000", "bytes");
    says("disk", "nvme0n1.reads", "5", "");
    assert_int_equal(machine->count, 2 * 4);
}

#define CELSIUS                                                                                    \
    "\xc2\xb0"                                                                                     \
    "C"

static void temperatures(void **state)
{
    put(state, "sys/class/thermal/thermal_zone0/type", "x86 pkg/temp\n");
    put(state, "sys/class/thermal/thermal_zone0/temp", "47500\n");
    put(state, "sys/class/thermal/thermal_zone1/type", "acpitz\n");
    put(state, "sys/class/thermal/thermal_zone1/temp", "-250\n");
    put(state, "sys/class/thermal/thermal_zone2/type", "broken\n");
    put(state, "sys/class/thermal/thermal_zone2/temp", "-2147483648\n");
    put(state, "sys/class/thermal/thermal_zone3/type", "no_temp\n");
    put(state, "sys/class/thermal/cooling_device0/type", "fan\n");
    put(state, "sys/class/hwmon/hwmon0/name", "coretemp\n");
    put(state, "sys/class/hwmon/hwmon0/temp1_input", "50000\n");
    put(state, "sys/class/hwmon/hwmon0/temp1_label", "Package id 0\n");
    put(state, "sys/class/hwmon/hwmon0/temp2_input", "48001\n");
    put(state, "sys/class/hwmon/hwmon0/temp2_max", "100000\n");
    put(state, "sys/class/hwmon/hwmon0/fan1_input", "1200\n");
    read_all(state);
    says("temperature", "x86.thermal_zone0", "47.500", CELSIUS);
    says("temperature", "acpitz.thermal_zone1", "-0.250", CELSIUS);
    says("temperature", "coretemp.temp1.Package", "50.000", CELSIUS);
    says("temperature", "coretemp.temp2", "48.001", CELSIUS);
    assert_int_equal(machine->count, 4);
}

static void nothing_there_is_no_reading(void **state)
{
    read_all(state);
    assert_int_equal(machine->count, 0);
    put(state, "proc/loadavg", "");
    put(state, "proc/meminfo", "\n\n:::\nMemTotal: kB\n");
    put(state, "proc/net/dev", ":\n::\n a:");
    put(state, "proc/diskstats", "8 0");
    put(state, "proc/uptime", "soon\n");
    read_all(state);
    assert_int_equal(machine->count, 0);
}

static void there_is_an_end_to_what_is_read(void **state)
{
    struct buf text = {0};
    for (int i = 0; i < 1000; i++)
        buf_printf(&text, "if%d: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n", i);
    put(state, "proc/net/dev", buf_cstr(&text));
    buf_close(&text);
    read_all(state);
    assert_int_equal(machine->count, MACHINE_ROWS_MAX);
    says("network", "if0.rx_bytes", "1", "bytes");
}

static void this_very_machine_shows_something(void **state)
{
    (void)state;
    machine_read(machine, "", BYTES_LIT("box"), 1);
    assert_true(machine->count > 10);
    assert_non_null(row("load", "load_1"));
    for (size_t i = 0; i < machine->count; i++)
        assert_int_equal(row_check(&machine->rows[i]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(load_memory_and_uptime, setup, teardown),
        cmocka_unit_test_setup_teardown(network_interfaces, setup, teardown),
        cmocka_unit_test_setup_teardown(whole_disks, setup, teardown),
        cmocka_unit_test_setup_teardown(temperatures, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_there_is_no_reading, setup, teardown),
        cmocka_unit_test_setup_teardown(there_is_an_end_to_what_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(this_very_machine_shows_something, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
