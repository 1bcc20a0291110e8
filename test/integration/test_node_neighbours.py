"""What one gateway does is no matter to those beside it."""
import pygateway
import pytest


@pytest.mark.parametrize('wrong', ['capture number', 'account'])
def test_a_report_that_cannot_be_stored_leaves_those_of_its_batch_alone(network, wrong):
    count = 300
    good = network.gateway(f'plant-a/good-{wrong[:3]}')
    identity = network.register(f'plant-a/bad-{wrong[:3]}')
    bad = network.connect(identity, user='x' * 5000 if wrong == 'account' else None)
    bad.agree()
    # Without waiting for answers, so that reports of both are stored in one go.
    for n in range(1, count + 1):
        for gateway, number in ((bad, n + (2**63 if wrong == 'capture number' else 0)), (good, n)):
            envelope = gateway.sealed_report(number, [pygateway.reading()])
            gateway.mqtt.paho.publish(f'{gateway.id}/RealTime', envelope, 1)
    assert {good.next_reply().code for _ in range(count)} == {pygateway.OK}
    refusal = {'capture number': pygateway.MALFORMED, 'account': pygateway.LIMIT}[wrong]
    assert {bad.next_reply().code for _ in range(count)} == {refusal}
    good.close()
    bad.close()
