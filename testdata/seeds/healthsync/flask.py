import hmac
import hashlib

def verify_signature(payload, signature, secret):
    computed = hmac.new(
        secret.encode(),
        payload,
        hashlib.sha256
    ).hexdigest()
    return hmac.compare_digest(
        f"sha256={computed}",
        signature
    )

from flask import Flask, request
import hmac

app = Flask(__name__)

@app.route('/webhooks/healthsync', methods=['POST'])
def webhook():
    # Verify signature
    signature = request.headers.get('X-HealthSync-Signature')
    if not verify_signature(request.data, signature, WEBHOOK_SECRET):
        return 'Invalid signature', 401
    
    # Get event data
    event = request.json
    event_type = event['type']
    
    # Handle event
    if event_type == 'document.uploaded':
        handle_document_upload(event['data'])
    elif event_type == 'analysis.completed':
        handle_analysis_complete(event['data'])
    
    return '', 200
