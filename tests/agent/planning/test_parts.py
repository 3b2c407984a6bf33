from __future__ import annotations

from byoi_agent.planning.parts import Part, matrix, times, vector


def test_a_matrix_may_bring_its_bias():
    assert matrix(3, 5) == [Part("linear", 3, 5)]
    assert matrix(3, 5, "head", bias=True) == [Part("head", 3, 5), Part("vector", 1, 5)]
    assert vector(7)[0].parameters == 7


def test_of_many_experts_a_token_sees_a_few():
    [experts] = times(matrix(3, 5), 8, 2)
    assert (experts.parameters, experts.active_parameters) == (120, 30)
    [layers] = times([experts], 4)
    assert (layers.parameters, layers.active_parameters) == (480, 120)
