/* Packets of other implementations (test/vectors/capture_mqtt). */
#include "unit/mqtt/wire.h"

#include <stdio.h>
#include <stdlib.h>

static void packets_of_others_are_read_and_written_alike(void **state)
{
    FILE *file = fopen(TEST_VECTORS "/mqtt-packets.txt", "r");
    char *line = NULL;
    size_t size = 0, lines = 0;
    unsigned types_seen = 0;
    (void)state;
    assert_non_null(file);
    while (getline(&line, &size, file) > 0) {
        struct buf packet = {0}, again = {0};
        line[strcspn(line, "\n")] = '\0';
        assert_true(strlen(line) > 4 && (line[2] == 'c' || line[2] == 's'));
        enum mqtt_version version = line[0] == '5' ? MQTT_V5 : MQTT_V311;
        bool from_client = line[2] == 'c';
        wire_append(&packet, line + 4);
        print_message("%s\n", line);
        struct mqtt_packet k =
            wire_accepted(buf_bytes(&packet), version, from_client, __FILE__, __LINE__);
        mqtt_encode(&k, version, &again);
        assert_true(bytes_equal(buf_bytes(&packet), buf_bytes(&again)));
        types_seen |= 1u << k.type;
        lines++;
        buf_close(&packet);
        buf_close(&again);
    }
    free(line);
    fclose(file);
    assert_true(lines > 100);
    /* All but AUTH, which none of them sends. */
    assert_int_equal(types_seen, (1u << (MQTT_DISCONNECT + 1)) - 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_of_others_are_read_and_written_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
