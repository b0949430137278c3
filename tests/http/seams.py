"""An application behind the error seam, and an error of its own."""

from fastapi import FastAPI

from mainspring.errors import MainspringError
from mainspring.http import ErrorSeam, Pipeline, RequestId


def seamed(form="problem"):
    app = FastAPI()
    seam = ErrorSeam(form)
    seam.install(app)
    return app, Pipeline(app, stages=[RequestId()], render=seam.render)


class Teapot(MainspringError):
    """A service's own."""

    code = "TEAPOT_ON_STRIKE"
    status = 418
    title = "The teapot is on strike"

    @property
    def headers(self):
        return {"x-union": "brewers", **super().headers}
