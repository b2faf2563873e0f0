"""What tests of agents and adapters need: a fake model, a real server on loopback, contracts to subclass."""

import sys

if (pytest := sys.modules.get("pytest")) is not None:
    # So that a contract that is not met says what it found, in the tests of others too.
    pytest.register_assert_rewrite("a2a_bridge.testing.adapter_case", "a2a_bridge.testing.adapter_contract")
