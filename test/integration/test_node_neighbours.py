"""What one gateway does is no matter to those beside it."""
import pygateway
import pytest
from sealmq_testlib import MqttError


def test_a_report_that_cannot_be_stored_leaves_those_of_its_batch_alone(network):
    count = 300
    good = network.gateway('plant-a/good')
    bad = network.gateway('plant-a/bad')
    # Without waiting for answers, so that reports of both are stored in one go.
    for n in range(1, count + 1):
        for gateway, number in ((bad, n + 2**63), (good, n)):
            envelope = gateway.sealed_report(number, [pygateway.reading()])
            gateway.mqtt.paho.publish(f'{gateway.id}/RealTime', envelope, 1)
    assert {good.next_reply().code for _ in range(count)} == {pygateway.OK}
    assert {bad.next_reply().code for _ in range(count)} == {pygateway.MALFORMED}
    good.close()
    bad.close()


def test_a_long_user_name_which_would_be_kept_with_each_report_is_refused(network):
    identity = network.register('plant-a/long')
    with network.connect(identity, user='x' * 256) as gateway:
        gateway.agree()
    with pytest.raises(MqttError):
        network.connect(identity, user='x' * 257)
    network.wait_for_log('a', 'refused .*: the user name is too long')
