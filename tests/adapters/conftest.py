"""The contract's assertions are told in full when they fail."""

import pytest

pytest.register_assert_rewrite("a2a_bridge.testing.adapter_case", "a2a_bridge.testing.adapter_contract")
