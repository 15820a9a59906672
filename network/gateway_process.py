"""The gateway process: HTTP, explorer and metrics, beside the validator and never in its way. It holds no key.

`python -m network.gateway_process` is started by `quorate start`, not by hand; it reads the node's settings file and
talks to the other two processes over their Unix sockets.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
from pathlib import Path

from network.config import read_config
from network.gateway import GatewaySettings, create_app, serve
from network.lifeline import StopSignal, run, set_up_logging, settle_memory
from network.paths import NodePaths
from network.proxies import ExecutorProxy, ValidatorProxy
from network.supervisor import EXIT_UNFIT

log = logging.getLogger("quorate.gateway")


async def serve_gateway(config_path: Path) -> int:
    """Serve until told to stop, or until the parent is gone."""
    config = read_config(config_path)
    paths = NodePaths(config.data_directory)
    validator = ValidatorProxy(paths.validator_socket)
    executor = ExecutorProxy(paths.executor_socket)
    settings = GatewaySettings(allowed_hosts=config.gateway.allowed_hosts, body_bytes_max=config.gateway.body_bytes_max)
    app = create_app(validator, executor, settings)
    await validator.start()
    await executor.start()
    settle_memory()
    serving = asyncio.create_task(serve(app, config.gateway.host, config.gateway.port, handle_signals=False))
    stop = asyncio.create_task(StopSignal(follow_parent=True).wait())
    await asyncio.wait((serving, stop), return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        serving.result()
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    await validator.close()
    await executor.close()
    return 0


def main() -> int:
    """Entry point of `python -m network.gateway_process`."""
    parser = argparse.ArgumentParser(prog="quorate-gateway", description="Started by `quorate start`.")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--log-level", default="info")
    arguments = parser.parse_args()
    set_up_logging("gateway", arguments.log_level)
    try:
        return run(serve_gateway(arguments.config))
    except OSError as error:
        log.error("%s", error)
        return EXIT_UNFIT


if __name__ == "__main__":
    raise SystemExit(main())
