import os
import signal
import subprocess
import sys

import pytest

from fast_nst.errors import Stopped
from fast_nst.system.signals import StopSignals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_is_raised_where_it_arrives_and_the_handlers_are_put_back(number):
    before = signal.getsignal(number)
    with pytest.raises(Stopped) as stopped, StopSignals():
        os.kill(os.getpid(), number)
    assert (stopped.value.signum, stopped.value.code) == (number, 128 + number)
    assert signal.getsignal(number) == before


def test_a_deferred_signal_waits_until_the_end_of_the_block():
    done = []
    with pytest.raises(Stopped), StopSignals() as signals:
        with signals.waiting():
            os.kill(os.getpid(), signal.SIGHUP)
            done.append("the step")
        done.append("never")
    assert done == ["the step"]


def test_a_process_under_nohup_goes_on_when_its_terminal_is_closed():
    code = "import os, signal\nfrom fast_nst.system.signals import StopSignals\n"
    code += "with StopSignals(): os.kill(os.getpid(), signal.SIGHUP)\nprint('done')"
    ran = subprocess.run(["nohup", sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.stdout == "done\n"
