import threading

import pytest
import torch
from torch import Tensor, nn

from retrieval.networks.listening import listening


def test_hears_what_goes_in_and_what_comes_out() -> None:
    module, heard = nn.Linear(2, 1), list[Tensor]()
    x = torch.randn(3, 2)
    with listening() as listener:
        listener.before(module, heard.append)
        listener.behind(module, heard.append)
        y = module(x)
    module(x)
    assert len(heard) == 2
    assert heard[0] is x
    assert heard[1] is y


def test_hears_its_own_thread_only() -> None:
    module, heard = nn.Identity(), list[Tensor]()
    with listening() as listener:
        listener.before(module, heard.append)
        listener.behind(module, heard.append)
        thread = threading.Thread(target=module, args=(torch.zeros(1),))
        thread.start()
        thread.join()
    assert heard == []


def test_hears_nothing_after_an_error() -> None:
    def broken(_: Tensor) -> None:
        raise ZeroDivisionError

    module = nn.Identity()

    def listen() -> None:
        with listening() as listener:
            listener.behind(module, broken)
            module(torch.zeros(1))

    with pytest.raises(ZeroDivisionError):
        listen()
    module(torch.zeros(1))
