wrk.method = "POST"
wrk.body = '{"name": "bolt", "description": "what there is to say about it", "price": "12.50", "quantity": 3}'
wrk.headers["Content-Type"] = "application/json"
