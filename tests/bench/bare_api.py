"""What the API's CRUD is held against: FastAPI, a few connections, one statement a request, and nothing else.

`python -m tests.bench.bare_api` serves it at BARE_PORT, with clients in the same table.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import uvicorn
from fastapi import FastAPI, HTTPException
from psycopg.rows import dict_row
from pydantic import BaseModel

CONNECTIONS = 10
COLUMNS = "id, number, code, tag, zone"


class ClientIn(BaseModel):
    number: int
    tag: str
    zone: str


class Changes(BaseModel):
    tag: str


class Client(ClientIn):
    id: int
    code: int


class Page(BaseModel):
    items: list[Client]


pool: asyncio.Queue[psycopg.AsyncConnection[dict[str, Any]]] = asyncio.Queue()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    for _ in range(CONNECTIONS):
        url = os.environ["MAILING_DATABASE_URL"]
        pool.put_nowait(await psycopg.AsyncConnection.connect(url, autocommit=True, row_factory=dict_row))
    yield
    while not pool.empty():
        await pool.get_nowait().close()


async def rows(query: Any, *values: object) -> list[dict[str, Any]]:
    connection = await pool.get()
    try:
        return await (await connection.execute(query, values)).fetchall()
    finally:
        pool.put_nowait(connection)


def one(found: list[dict[str, Any]]) -> dict[str, Any]:
    if not found:
        raise HTTPException(404)
    return found[0]


app = FastAPI(lifespan=lifespan)


@app.post("/api/client/", status_code=201, response_model=Client)
async def create(new: ClientIn) -> Any:
    query = f"INSERT INTO clients (number, tag, zone) VALUES (%s, %s, %s) RETURNING {COLUMNS}"
    return one(await rows(query, new.number, new.tag, new.zone))


@app.get("/api/client/{client_id}/", response_model=Client)
async def find(client_id: int) -> Any:
    return one(await rows(f"SELECT {COLUMNS} FROM clients WHERE id = %s", client_id))


@app.get("/api/client/", response_model=Page)
async def listing(after: int = 0, limit: int = 100) -> Any:
    return {"items": await rows(f"SELECT {COLUMNS} FROM clients WHERE id > %s ORDER BY id LIMIT %s", after, limit)}


@app.patch("/api/client/{client_id}/", response_model=Client)
async def change(client_id: int, changes: Changes) -> Any:
    return one(
        await rows(f"UPDATE clients SET tag = %s WHERE id = %s RETURNING {COLUMNS}", changes.tag, client_id)
    )


@app.delete("/api/client/{client_id}/", status_code=204)
async def delete(client_id: int) -> None:
    one(await rows("DELETE FROM clients WHERE id = %s RETURNING id", client_id))


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["BARE_PORT"]), access_log=False, log_level="warning")
